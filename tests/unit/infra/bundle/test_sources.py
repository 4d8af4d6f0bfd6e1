"""What each function carries is what it imports: read from the code, not from a list."""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest

from infra.bundle.faults import BadBundle
from infra.bundle.sources import (
    BILLING,
    DRIVER,
    FUNCTIONS,
    LOCKS,
    REPOSITORY,
    RUNTIME,
    Files,
    billing_files,
    contents,
    copy,
    function_files,
    layers_of,
)

OURS = {"functions", "billing"}
BUILT_IN = set(sys.stdlib_module_names) | {"_typeshed"}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """Who imports what, lazily or at once."""
    return grimp.build_graph("functions", "billing", include_external_packages=True, cache_dir=None)


@pytest.fixture(scope="module")
def distributions() -> dict[str, set[str]]:
    """Package → the names under which locks have what brings it."""
    return {
        package: {name.lower().replace("_", "-") for name in names}
        for package, names in packages_distributions().items()
    }


def _reached(imports: grimp.ImportGraph, folder: str) -> set[str]:
    handler = f"functions.{folder}.handler"
    return imports.find_upstream_modules(handler) | {handler}


def _locked(name: str) -> dict[str, str]:
    """Distribution → version."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (LOCKS / f"{name}.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_a_function_has_the_packages_it_imports(
    imports: grimp.ImportGraph, distributions: Mapping[str, set[str]], folder: str
) -> None:
    foreign = {module.split(".")[0] for module in _reached(imports, folder)} - OURS - BUILT_IN
    lock = contents(folder).dependencies
    provided = set(_locked(lock)) if lock else set()
    missing = {name for name in foreign if not provided & distributions[name]}
    assert not missing


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_a_function_that_needs_only_the_driver_or_nothing_has_no_more(imports: grimp.ImportGraph, folder: str) -> None:
    foreign = {module.split(".")[0] for module in _reached(imports, folder)} - OURS - BUILT_IN
    least = None if not foreign else DRIVER if foreign == {"psycopg"} else RUNTIME
    assert contents(folder).dependencies == least


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_a_function_has_every_module_of_its_own_that_it_imports(imports: grimp.ImportGraph, folder: str) -> None:
    files = function_files(folder)
    own = {module for module in _reached(imports, folder) if module.startswith("functions.")}
    assert {_file(module) for module in own if "." in module.removeprefix("functions.")} <= set(files)


def _file(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (REPOSITORY / path).is_dir() else f"{path}.py"


def test_the_driver_is_the_same_version_in_both_layers() -> None:
    runtime = _locked(RUNTIME)
    assert {name: runtime.get(name) for name in _locked(DRIVER)} == _locked(DRIVER)


def test_no_layer_has_what_lambda_has_and_no_function_imports() -> None:
    assert not {"boto3", "botocore"} & set(_locked(RUNTIME))


def test_a_check_carries_its_handler_and_its_questions_only() -> None:
    assert set(function_files("entitlements")) == {
        "functions/__init__.py",
        "functions/entitlements/__init__.py",
        "functions/entitlements/handler.py",
        "functions/entitlements/questions.py",
    }
    assert layers_of("entitlements") == (DRIVER, BILLING)


def test_webhooks_need_no_packages_at_all() -> None:
    assert layers_of("webhooks") == (BILLING,)


def test_a_link_is_packed_as_what_it_leads_to(tmp_path: Path) -> None:
    copy(function_files("health"), tmp_path)
    packed = tmp_path / "functions/health/openapi.json"
    assert not packed.is_symlink()
    assert packed.read_bytes() == (REPOSITORY / "docs/openapi.json").read_bytes()


def test_the_billing_layer_has_the_package_with_its_migrations_and_nothing_else() -> None:
    files: Files = billing_files("python/billing")
    assert {"python/billing/errors.py", "python/billing/store/migrations/0001_core.sql"} <= set(files)
    assert all(name.startswith("python/billing/") for name in files)


def test_a_function_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadBundle, match=r"functions/refunds has no handler\.py"):
        function_files("refunds")
