"""The packages of a lock, as Lambda's Python on 64-bit ARM loads them: by uv, from wheels alone, without Docker."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from uv import find_uv_bin

from infra.bundle.faults import BadBundle
from infra.bundle.interpreter import MINOR

PLATFORM = "aarch64-manylinux_2_28"
"""Lambda's Amazon Linux 2023 has glibc 2.34, so it takes these; psycopg has no ARM wheel for an older one."""

_OF_THE_INSTALLER = ("INSTALLER", "RECORD", "REQUESTED", "WHEEL", "direct_url.json", "uv_cache.json")
_NEVER_RUN = (".pyi", ".pyx", ".pxd")
_LINES_OF_UV = 12


def install(lock: Path, target: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Install what `lock` pins, each wheel checked against its hash, and take out what never runs.

    Without uv's cache: it checks hashes when it downloads, not when it takes an unpacked wheel from there, and those
    files are linked into virtual environments, where anything may have changed them (a company's CA added to certifi).
    Raises BadBundle where uv cannot have a wheel, or gets another than the lock's.
    """
    uv = [find_uv_bin(), "pip", "install", "--quiet", "--no-cache", "--link-mode", "copy", "--python", sys.executable]
    kind = ["--python-version", MINOR, "--python-platform", PLATFORM, "--only-binary", ":all:", "--no-deps"]
    done = subprocess.run(  # noqa: S603  uv, with the lock of this repository
        [*uv, *kind, "--target", str(target), "--require-hashes", "--requirements", str(lock)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(environ),
    )
    if done.returncode:
        raise BadBundle(_no_wheels(lock, done.stderr))
    strip(target)


def _no_wheels(lock: Path, said: str) -> str:
    last = "\n".join(f"  {line}" for line in said.strip().splitlines()[-_LINES_OF_UV:])
    return (
        f"The wheels of requirements/{lock.name} (Python {MINOR}, {PLATFORM}) could not be had. uv says:\n{last}\n"
        "No connection: come back online once; what was built is kept in build/ and needs none. "
        "No matching wheel: pin a version in requirements/*.in that has one, then `make lock`. "
        "Another hash: the index serves what was not locked; find out why before you lock again."
    )


def strip(folder: Path) -> None:
    """Remove scripts, tests, stubs, and what the installer says about itself, which differs from machine to machine.

    METADATA, entry points and licences stay: the first two are read at run time, the last go with every copy.
    """
    for name in ("bin", ".lock"):
        _remove(folder / name)
    for path in sorted(folder.rglob("*")):
        of_the_installer = path.parent.suffix == ".dist-info" and path.name in _OF_THE_INSTALLER
        if of_the_installer or path.name in {"tests", "__pycache__"} or path.suffix in _NEVER_RUN:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
