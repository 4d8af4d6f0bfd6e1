"""What is published: the exports, what it imports, and the same wheel whenever it is built."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import billing_client

SOURCE = Path(billing_client.__file__).parent


def test_every_export_is_there_and_sorted() -> None:
    assert billing_client.__all__ == sorted(billing_client.__all__)
    assert [name for name in billing_client.__all__ if not hasattr(billing_client, name)] == []


def test_it_imports_neither_a_framework_nor_cryptography_nor_ours() -> None:
    code = (
        "import sys, billing_client, billing_client.testing; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SOURCE.parent)

    unwanted = {"fastapi", "flask", "django", "joserfc", "cryptography", "billing", "pydantic"}
    assert unwanted & set(loaded.stdout.split()) == set()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [built(tmp_path_factory.mktemp("wheel")) for _ in range(2)]


def built(folder: Path) -> Path:
    """By the build's backend itself, as `python -m build` calls it; no index is asked."""
    code = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run([sys.executable, "-c", code, folder], check=True, cwd=SOURCE, env=environ, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_is_the_same_whenever_it_is_built(wheels: list[Path]) -> None:
    first, second = wheels
    assert first.name == "billing_client-0.1.0-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()


def test_the_wheel_holds_every_module_with_its_types_and_nothing_else(wheels: list[Path]) -> None:
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    modules = {f"billing_client/{path.name}" for path in SOURCE.glob("*.py")}
    assert names == modules | {"billing_client/py.typed"}
