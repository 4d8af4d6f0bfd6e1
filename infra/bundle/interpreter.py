"""Bytecode that Lambda's Python takes as it is, made by a Python of the same minor version."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from infra.bundle.faults import BadBundle

MINOR = "3.13"
MAGIC = 3571
"""The first two bytes of every .pyc of Python 3.13: Lambda's ignores a file with others, and compiles anew."""

CHOICE = "LAMBDA_PYTHON"
"""Environment variable: a CPython 3.13 to compile with, where none is found by itself."""

NO_BYTECODE = (
    f"No CPython {MINOR} on this machine, so the packages hold NO BYTECODE: they run, but every cold start compiles "
    f"what it imports, which doubles its time. Before you deploy: `uv python install {MINOR}`, or {CHOICE}=/its/path"
)

_QUESTION = (
    "import importlib.util, json, platform, sys;"
    "print(json.dumps([platform.python_version(), int.from_bytes(importlib.util.MAGIC_NUMBER[:2], 'little')]))"
)
_SECONDS_TO_ANSWER = 20
_SECONDS_TO_COMPILE = 300


@dataclass(frozen=True)
class Interpreter:
    """`magic` is of its bytecode, `version` its full one: two patch releases need not compile alike."""

    path: str
    version: str
    magic: int


def inspect(path: str) -> Interpreter | None:
    """What is at `path`; None where that does not run (a shim for a Python that is not installed does not)."""
    try:
        answer = subprocess.run(  # noqa: S603  a Python that this machine's owner put there
            [path, "-I", "-c", _QUESTION], capture_output=True, text=True, check=True, timeout=_SECONDS_TO_ANSWER
        )
        version, magic = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(path, version, magic)


def this_interpreter() -> Interpreter:
    """For packages that run in this very Python."""
    found = inspect(sys.executable)
    if found is None:
        raise BadBundle(f"{sys.executable} does not run: make the venv again (make clean setup)")
    return found


def find_interpreter(environ: Mapping[str, str] = os.environ) -> Interpreter | None:
    """A Python that makes Lambda's bytecode; None where this machine has none. Nothing is downloaded.

    Raises BadBundle where the one chosen by LAMBDA_PYTHON is none.
    """
    chosen = environ.get(CHOICE)
    if chosen is not None:
        found = inspect(chosen)
        if found is None or found.magic != MAGIC:
            is_what = f"is Python {found.version}" if found else "does not run"
            raise BadBundle(f"{CHOICE}={chosen} {is_what}: name a CPython {MINOR}, or unset it")
        return found
    inspected = (inspect(path) for path in _candidates(environ))
    return next((found for found in inspected if found is not None and found.magic == MAGIC), None)


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    yield sys.executable
    on_path = shutil.which(f"python{MINOR}", path=environ.get("PATH"))
    if on_path:
        yield on_path
    known = subprocess.run(  # noqa: S603  uv's own answer about what is installed
        [find_uv_bin(), "python", "find", "--no-python-downloads", MINOR],
        capture_output=True,
        text=True,
        check=False,
        env=dict(environ),
    )
    if known.returncode == 0:
        yield known.stdout.strip()
    pyenv = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/nonexistent")) / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{MINOR}.*/bin/python{MINOR}")))  # behind a shim that may refuse


def compile_folder(folder: Path, interpreter: Interpreter, at: str) -> None:
    """Put the bytecode of every module beside it, of the kind that is never compared with its source.

    A zip's times would void the ordinary kind. `at` is where the folder's contents lie when they run: bytecode that
    knows its own path is not corrected at each import. Raises BadBundle for what does not compile.
    """
    command = [interpreter.path, "-I", "-W", "ignore", "-m", "compileall", "-q", "-f", "-j", "0"]
    kind = ["--invalidation-mode", "unchecked-hash", "-s", str(folder), *(["-p", at] if at else [])]
    done = subprocess.run(  # noqa: S603  the interpreter found or given above
        [*command, *kind, str(folder)], capture_output=True, text=True, check=False, timeout=_SECONDS_TO_COMPILE
    )
    if done.returncode:
        raise BadBundle(
            f"Python {interpreter.version} cannot compile the package:\n{done.stdout}{done.stderr}".rstrip()
        )
