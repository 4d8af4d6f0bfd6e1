"""Bytecode is made by a Python of Lambda's minor version, or not at all."""

import marshal
import sys
from pathlib import Path
from types import CodeType

import pytest

from infra.bundle.faults import BadBundle
from infra.bundle.interpreter import CHOICE, MAGIC, compile_folder, find_interpreter, inspect, this_interpreter


def _python(folder: Path, script: str) -> str:
    """An executable that answers like a Python."""
    path = folder / "python3.13"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_shim_that_does_not_run_is_no_python(tmp_path: Path) -> None:
    assert inspect(_python(tmp_path, "echo 'pyenv: command not found' >&2; exit 127")) is None


def test_a_pre_release_with_other_bytecode_is_passed_over(tmp_path: Path) -> None:
    _python(tmp_path, """echo '["3.13.0a1", 3558]'""")
    found = find_interpreter({"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert found is None or found.magic == MAGIC


def test_the_python_on_the_path_that_makes_lambdas_bytecode_is_found(tmp_path: Path) -> None:
    path = _python(tmp_path, f"""echo '["3.13.99", {MAGIC}]'""")
    found = find_interpreter({"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert found is not None
    assert found.path == (sys.executable if this_interpreter().magic == MAGIC else path)


def test_a_python_hidden_behind_a_broken_shim_is_found_where_pyenv_keeps_it(tmp_path: Path) -> None:
    shims, kept = tmp_path / "shims", tmp_path / "pyenv/versions/3.13.7/bin"
    shims.mkdir()
    kept.mkdir(parents=True)
    _python(shims, "exit 127")
    path = _python(kept, f"""echo '["3.13.7", {MAGIC}]'""")
    found = find_interpreter({"PATH": str(shims), "PYENV_ROOT": str(tmp_path / "pyenv")})
    assert found is not None
    assert found.path == (sys.executable if this_interpreter().magic == MAGIC else path)


@pytest.mark.parametrize("script", ["exit 1", """echo '["3.12.1", 3531]'"""])
def test_a_chosen_python_of_another_minor_is_refused(tmp_path: Path, script: str) -> None:
    with pytest.raises(BadBundle, match=r"name a CPython 3\.13, or unset it"):
        find_interpreter({CHOICE: _python(tmp_path, script), "PATH": str(tmp_path)})


def test_bytecode_is_never_compared_with_its_source_and_knows_where_it_will_lie(tmp_path: Path) -> None:
    (tmp_path / "package/python/tiny").mkdir(parents=True)
    (tmp_path / "package/python/tiny/module.py").write_text("x = 1\n")
    compile_folder(tmp_path / "package", this_interpreter(), at="/opt")
    (compiled,) = (tmp_path / "package").rglob("*.pyc")
    content = compiled.read_bytes()
    code = marshal.loads(content[16:])  # noqa: S302  written a line above
    assert int.from_bytes(content[:2], "little") == this_interpreter().magic
    assert content[4:8] == (1).to_bytes(4, "little")  # hash-based, unchecked
    assert isinstance(code, CodeType)
    assert code.co_filename == "/opt/python/tiny/module.py"


def test_a_module_that_does_not_compile_fails_the_build_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x =\n")
    with pytest.raises(BadBundle, match=r"broken\.py"):
        compile_folder(tmp_path, this_interpreter(), at="")
