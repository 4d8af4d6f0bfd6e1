"""The zip files that a deployment uploads: built when their inputs change, kept under `build/` by a digest of those."""

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.bundle import archive
from infra.bundle.faults import BadBundle
from infra.bundle.interpreter import NO_BYTECODE, Interpreter, compile_folder
from infra.bundle.machine_code import check_machine_code
from infra.bundle.sources import BILLING, LOCKS, REPOSITORY, billing_files, copy, files_of, function_files
from infra.bundle.wheels import PLATFORM, install

ROOT = REPOSITORY / "build" / "bundle"

MOST_UNZIPPED = 250 * 1024 * 1024
"""Bytes: Lambda's limit for a function with all its layers."""

MOST_ZIPPED = 50 * 1024 * 1024
"""Bytes: what Lambda takes without S3. Above it a package still deploys, but is worth a look."""

_LAYERS_AT = "/opt"
_FUNCTIONS_AT = "/var/task"
_LEVEL = 6


@dataclass(frozen=True)
class Asset:
    """A zip file; sizes in bytes. `digest` is of its contents: the same contents need no new deployment."""

    path: Path
    digest: str
    zipped: int
    unzipped: int


class Assets(Protocol):
    """What stacks ask for. `name` of a layer: see `infra.bundle.sources.layers_of`."""

    def package(self, folder: str) -> Asset: ...

    def layer(self, name: str) -> Asset: ...


class Bundle:
    """The real ones, in `root`. Without an `interpreter` of Lambda's Python (None) they hold no bytecode: a warning.

    Both methods raise BadBundle for what cannot be built or would not run.
    """

    def __init__(self, interpreter: Interpreter | None, *, root: Path = ROOT, locks: Path = LOCKS) -> None:
        if interpreter is None:
            warnings.warn(NO_BYTECODE, RuntimeWarning, stacklevel=2)
        self._interpreter = interpreter
        self._root = root
        self._locks = locks

    def package(self, folder: str) -> Asset:
        """Of a function: its own code."""
        files = function_files(folder)
        return self._kept(folder, archive.digest(files), _FUNCTIONS_AT, lambda stage: copy(files, stage))

    def layer(self, name: str) -> Asset:
        """`billing`, or the packages of a lock in requirements/."""
        if name == BILLING:
            files = billing_files("python/billing")
            return self._kept("layer-billing", archive.digest(files), _LAYERS_AT, lambda stage: copy(files, stage))
        lock = self._locks / f"{name}.txt"
        if not lock.is_file():
            raise BadBundle(f"There is no layer {name!r}: requirements/{lock.name} is missing (`make lock` writes it)")
        inputs = f"{PLATFORM} {lock.read_text()}"
        return self._kept(f"layer-{name}", inputs, _LAYERS_AT, lambda stage: install(lock, stage / "python"))

    def _kept(self, name: str, inputs: str, at: str, fill: Callable[[Path], None]) -> Asset:
        with_what = self._interpreter.version if self._interpreter else "no bytecode"
        target = self._root / f"{name}-{_key(inputs, with_what, _builder())}.zip"
        if not target.exists():
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._root, prefix=f".{name}-") as directory:
                self._build(Path(directory), at, fill, target)
        return _read(target)

    def _build(self, scratch: Path, at: str, fill: Callable[[Path], None], target: Path) -> None:
        stage = scratch / "package"
        fill(stage)
        check_machine_code(stage)
        if self._interpreter is not None:
            compile_folder(stage, self._interpreter, at)
        with (scratch / "zip").open("wb") as file:
            archive.write(archive.staged(stage), file, level=_LEVEL)
        unzipped = archive.unzipped_size(scratch / "zip")
        if unzipped > MOST_UNZIPPED:
            raise BadBundle(f"{target.name} has {unzipped:,} bytes, Lambda takes {MOST_UNZIPPED:,}: import less")
        (scratch / "zip").replace(target)  # whole or not at all, whoever else builds it now


class StandIns:
    """Tiny zips in their place, for those who look at templates and deploy nothing. Needs no network."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def package(self, folder: str) -> Asset:
        return self._made(folder)

    def layer(self, name: str) -> Asset:
        return self._made(f"layer-{name}")

    def _made(self, name: str) -> Asset:
        source = self._root / f"{name}.txt"
        source.write_text(f"stands for {name}\n")
        target = self._root / f"{name}.zip"
        target.write_bytes(archive.zipped({"stand-in.txt": source}, level=_LEVEL))
        return _read(target)


def _read(path: Path) -> Asset:
    return Asset(path, archive.comment(path), path.stat().st_size, archive.unzipped_size(path))


def _builder() -> str:
    """Changes when anything here is written otherwise."""
    return archive.digest(files_of(Path(__file__).parent))


def _key(*inputs: str) -> str:
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]


def weight(assets: Assets, folder: str, layers: Iterable[str]) -> int:
    """Bytes a function has unzipped, layers included. Raises BadBundle over Lambda's limit."""
    total = assets.package(folder).unzipped + sum(assets.layer(name).unzipped for name in layers)
    if total > MOST_UNZIPPED:
        raise BadBundle(f"functions/{folder} and its layers have {total:,} bytes, Lambda takes {MOST_UNZIPPED:,}")
    return total
