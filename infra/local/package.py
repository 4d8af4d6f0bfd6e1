"""The functions' packages: one zip each, with the `billing` package inside.

Locally there are no layers: MiniStack runs functions in this project's venv, which has their dependencies, and the
free LocalStack does not apply layers, so there the dependencies go into the zip too.
"""

import hashlib
import io
import py_compile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import cache_from_source
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same sources give the same bytes


def package_functions(names: Sequence[str], dependencies: Path | None = None) -> dict[str, bytes]:
    """The zip of each function, by name. `dependencies` is a folder of installed packages to add to each."""
    shared = list(_modules(REPOSITORY / "shared" / "billing", REPOSITORY / "shared"))
    if dependencies is not None:
        shared += [(path.relative_to(dependencies).as_posix(), path.read_bytes()) for path in _files(dependencies)]
    return {name: _zip([*_function_files(name), *shared]) for name in names}


def code_version(packages: dict[str, bytes]) -> str:
    """A name for this code: changes when any byte of any package does."""
    digest = hashlib.sha256()
    for name in sorted(packages):
        digest.update(name.encode() + hashlib.sha256(packages[name]).digest())
    return digest.hexdigest()[:16]


def _function_files(name: str) -> Iterator[tuple[str, bytes]]:
    yield "functions/__init__.py", b""
    yield from _modules(REPOSITORY / "functions" / name, REPOSITORY)


def _modules(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of `folder` under its path from `root`, Python ones with their bytecode.

    Each cold worker unpacks its own copy, so without bytecode it compiles everything again. The bytecode is of the
    kind that is never compared with its source: a zip's timestamps would void the ordinary kind.
    """
    for path in _files(folder):
        name = path.relative_to(root).as_posix()
        yield name, path.read_bytes()
        if path.suffix == ".py":
            yield cache_from_source(name), _bytecode(path, name)


def _bytecode(path: Path, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        compiled = Path(directory) / "module.pyc"
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), str(compiled), dfile=name, doraise=True, invalidation_mode=mode)
        return compiled.read_bytes()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _zip(files: Sequence[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
