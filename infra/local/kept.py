"""What `.local/` remembers between runs, and the lock that lets one run at a time use it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from infra.local.processes import LocalStackError


@dataclass
class Kept:
    """Ports (0: not chosen yet) so that addresses stay, and secrets that cannot be asked for again."""

    postgres_port: int = 0
    aws_port: int = 0
    stripe_port: int = 0
    stripe_api_key: str = ""
    webhook_endpoint: str = ""
    webhook_secret: str = ""
    admin_key: str = ""
    project_key: str = ""


@dataclass(frozen=True)
class Stack:
    """A running local system, for scripts and other languages' clients: the content of `stack.json`."""

    api_url: str
    stripe_url: str
    admin_key: str
    project_key: str
    project_id: str
    webhook_secret: str
    database_url: str
    aws_endpoint_url: str
    table: str
    queue_url: str


def load_kept(root: Path) -> Kept:
    """Raises LocalStackError where the file cannot be read as what `save_kept` wrote."""
    path = root / "kept.json"
    if not path.exists():
        return Kept()
    known = {field.name for field in fields(Kept)}
    return Kept(**{name: value for name, value in _read(path).items() if name in known})


def save_kept(root: Path, kept: Kept) -> None:
    _write(root / "kept.json", asdict(kept))


def save_stack(root: Path, stack: Stack) -> None:
    _write(root / "stack.json", asdict(stack))


def remove_stack(root: Path) -> None:
    (root / "stack.json").unlink(missing_ok=True)


def load_stack(root: Path) -> Stack:
    """The running system. Raises LocalStackError if none runs."""
    path = root / "stack.json"
    if holder(root) is None or not path.exists():
        raise LocalStackError("Nothing is running here, or it is still starting: `make run` in another terminal first.")
    return Stack(**_read(path))


@contextmanager
def locked(root: Path) -> Iterator[bool]:
    """Hold `root` for this process; yields whether an earlier run ended without saying so (killed, power cut).

    The kernel frees the lock with the process, so a lock file alone means nothing. Raises LocalStackError if a
    living run holds it.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = _open_lock(root)
    try:
        if not _take(descriptor):
            raise LocalStackError(
                f"The system already runs here (process {_pid(descriptor)}): use it (make demo), or `make stop` first."
            )
        killed = _pid(descriptor) is not None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield killed
        os.truncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(root: Path) -> int | None:
    """The process that runs the system in `root`, None if there is none."""
    if not (root / "lock").exists():
        return None
    descriptor = _open_lock(root)
    try:
        return None if _take(descriptor) else _pid(descriptor)
    finally:
        os.close(descriptor)


def _open_lock(root: Path) -> int:
    return os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0).decode()
    return int(text) if text.isdigit() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise LocalStackError(f"{path} is damaged ({error}): remove it and start again.") from error
    return content


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file as a whole, readable by its owner alone."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    fresh.replace(path)
