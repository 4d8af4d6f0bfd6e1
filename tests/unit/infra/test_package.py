"""The functions' zips."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.local.package import REPOSITORY, code_version, package_functions


@pytest.fixture(scope="module")
def health() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(package_functions(["health"])["health"]))


def test_a_package_holds_its_function_the_billing_package_and_no_other_function(health: zipfile.ZipFile) -> None:
    names = {name for name in health.namelist() if "__pycache__" not in name}
    assert {"functions/__init__.py", "functions/health/handler.py", "billing/errors.py"} <= names
    assert "billing/store/migrations/0001_core.sql" in names
    assert {name.split("/")[1] for name in names if name.startswith("functions/")} == {"__init__.py", "health"}


def test_a_link_in_a_function_is_packed_as_what_it_leads_to(health: zipfile.ZipFile) -> None:
    assert health.read("functions/health/openapi.json") == (REPOSITORY / "docs/openapi.json").read_bytes()


def test_the_same_sources_give_the_same_bytes_and_version() -> None:
    first, second = package_functions(["outbox"]), package_functions(["outbox"])
    assert first == second
    assert code_version(first) == code_version(second) != code_version(package_functions(["health"]))


def test_a_package_imports_by_itself_from_its_own_bytecode(health: zipfile.ZipFile, tmp_path: Path) -> None:
    health.extractall(tmp_path)
    script = "import billing.domain.windows as module; print(module.__cached__, module.__file__)"
    answer = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    cached, source = map(Path, answer.stdout.split())
    assert source == tmp_path / "billing/domain/windows.py"
    assert cached.relative_to(tmp_path).as_posix() in health.namelist()
    assert cached.read_bytes()[4:8] == (1).to_bytes(4, "little")  # hash-based, unchecked
