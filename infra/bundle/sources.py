"""What goes into which package, and where in it: the one table of what a function needs to run."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.bundle.faults import BadBundle

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = REPOSITORY / "requirements"

RUNTIME = "runtime"
DRIVER = "driver"
"""Locks in requirements/, each a layer: all that any function imports, and PostgreSQL's driver alone."""

BILLING = "billing"
"""The layer of our own package."""

FUNCTIONS = tuple(sorted(path.parent.name for path in (REPOSITORY / "functions").glob("*/handler.py")))
"""Every folder of `functions/` that has a handler."""

Files = Mapping[str, Path]
"""What a package holds: the file there → the file here."""


@dataclass(frozen=True)
class Contents:
    """`dependencies`: the lock a function's imports come from; None: the standard library is all it imports.

    `without`: files of its folder that only the written contract is made from.
    """

    dependencies: str | None = RUNTIME
    without: tuple[str, ...] = ()


_LEAN = {
    # a hit needs the standard library and `billing`; the driver is for its misses
    "entitlements": Contents(DRIVER, without=("operations.py",)),
    "health": Contents(DRIVER, without=("operations.py",)),
    "migrations": Contents(DRIVER),
    "outbox": Contents(DRIVER),
    "webhooks": Contents(None, without=("operations.py",)),
}


def contents(folder: str) -> Contents:
    """Of a folder of `functions/`. A new function has everything until it is entered above."""
    return _LEAN.get(folder, Contents())


def layers_of(folder: str) -> tuple[str, ...]:
    """The names of a function's layers."""
    dependencies = contents(folder).dependencies
    return (BILLING,) if dependencies is None else (dependencies, BILLING)


def function_files(folder: str) -> Files:
    """A function's own code, under the path its handler string has. Raises BadBundle where there is none."""
    source = REPOSITORY / "functions" / folder
    if not (source / "handler.py").is_file():
        raise BadBundle(f"functions/{folder} has no handler.py: name a folder of functions/, or write its handler")
    own = files_of(source, f"functions/{folder}", without=contents(folder).without)
    return {"functions/__init__.py": REPOSITORY / "functions" / "__init__.py", **own}


def billing_files(at: str) -> Files:
    """The package `billing`, as `at`."""
    return files_of(REPOSITORY / "shared" / "billing", at)


def files_of(folder: Path, at: str = "", *, without: Collection[str] = ()) -> Files:
    """Every file below `folder`, under its path from there below `at`; links count as what they lead to.

    Left out: this Python's bytecode, hidden files, and those whose path from `folder` is in `without`.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        left_out = any(part == "__pycache__" or part.startswith(".") for part in inner.parts)
        if path.is_file() and not left_out and inner.as_posix() not in without:
            found[f"{at}/{inner.as_posix()}" if at else inner.as_posix()] = path
    return found


def copy(files: Files, target: Path) -> None:
    for name, path in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)
