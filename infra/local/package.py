"""The functions' packages: one zip each, with the `billing` package inside.

Locally there are no layers: MiniStack runs functions in this project's venv, which has their dependencies, and the
free LocalStack does not apply layers, so there the dependencies go into the zip too.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.bundle.archive import staged, zipped
from infra.bundle.interpreter import compile_folder, this_interpreter
from infra.bundle.sources import REPOSITORY, billing_files, copy, files_of, function_files

__all__ = ["REPOSITORY", "code_version", "package_functions"]

_LEVEL = 1  # it travels over the loopback alone


def package_functions(names: Sequence[str], dependencies: Path | None = None) -> dict[str, bytes]:
    """The zip of each function, by name. `dependencies` is a folder of installed packages to add to each.

    With bytecode of this Python: each cold worker unpacks its own copy, and would compile everything again.
    """
    with tempfile.TemporaryDirectory() as directory:
        shared, own = Path(directory) / "shared", Path(directory) / "functions"
        copy(billing_files("billing"), shared)
        for name in names:
            copy(function_files(name), own / name)
        compile_folder(Path(directory), this_interpreter(), at="")
        installed = {} if dependencies is None else files_of(dependencies)
        common = {**installed, **staged(shared)}
        return {name: zipped({**staged(own / name), **common}, level=_LEVEL) for name in names}


def code_version(packages: dict[str, bytes]) -> str:
    """A name for this code: changes when any byte of any package does."""
    digest = hashlib.sha256()
    for name in sorted(packages):
        digest.update(name.encode() + hashlib.sha256(packages[name]).digest())
    return digest.hexdigest()[:16]
