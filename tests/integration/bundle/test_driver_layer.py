"""The smaller dependency layer, from its real lock: what no invented wheel can show."""

import zipfile
from pathlib import Path

import pytest

from infra.bundle.archive import comment, staged
from infra.bundle.assets import Asset, Bundle
from infra.bundle.interpreter import MAGIC, NO_BYTECODE, Interpreter, find_interpreter, this_interpreter
from infra.bundle.machine_code import check_machine_code
from infra.bundle.sources import DRIVER


@pytest.fixture(scope="module")
def python() -> Interpreter:
    return find_interpreter() or this_interpreter()


@pytest.fixture(scope="module")
def layer(python: Interpreter, tmp_path_factory: pytest.TempPathFactory) -> Asset:
    return Bundle(python, root=tmp_path_factory.mktemp("bundle")).layer(DRIVER)


def test_its_libraries_are_of_lambdas_machine(layer: Asset, tmp_path: Path) -> None:
    with zipfile.ZipFile(layer.path) as archive:
        archive.extractall(tmp_path)
    libraries = [name for name in staged(tmp_path) if ".so" in name]
    assert check_machine_code(tmp_path) == len(libraries) > 10
    assert any(name.startswith("python/psycopg_binary/pq.cpython-313-aarch64") for name in libraries)


def test_the_same_lock_gives_the_same_bytes(layer: Asset, python: Interpreter, tmp_path: Path) -> None:
    again = Bundle(python, root=tmp_path).layer(DRIVER)
    assert again.path.read_bytes() == layer.path.read_bytes()
    assert again.digest == comment(layer.path)


def test_it_is_small(layer: Asset) -> None:
    assert layer.zipped < 6_000_000
    assert layer.unzipped < 20_000_000


def test_its_bytecode_is_of_lambdas_python(layer: Asset, python: Interpreter) -> None:
    if python.magic != MAGIC:
        pytest.skip(NO_BYTECODE)
    with zipfile.ZipFile(layer.path) as archive:
        compiled = [name for name in archive.namelist() if name.endswith(".pyc")]
        headers = {archive.read(name)[:8] for name in compiled}
    unchecked = MAGIC.to_bytes(2, "little") + b"\r\n" + (1).to_bytes(4, "little")
    assert len(compiled) > 50
    assert headers == {unchecked}
