"""What `.local/` remembers between runs, and the lock that lets one run at a time use it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from infra.local.processes import LocalStackError, is_alive

PATIENCE_SECONDS = 20


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
    signing_key: str = ""


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
    prefix: str
    """Every deployed function's and rule's name begins with it."""


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


@dataclass(frozen=True)
class Lock:
    """`descriptor` goes to the guards, so that the lock is free only once all parts have ended too.

    `after_a_kill`: the run before ended without saying so.
    """

    descriptor: int
    after_a_kill: bool


@contextmanager
def locked(root: Path) -> Iterator[Lock]:
    """Hold `root`. The kernel frees the lock with its last holder, so a lock file alone means nothing.

    Waits for the parts of a killed run to end. Raises LocalStackError if a living run holds it.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = _open_lock(root)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _take(descriptor):
            pid = _pid(descriptor)
            if pid is not None and is_alive(pid):
                raise LocalStackError(
                    f"The system already runs here (process {pid}): use it (make demo), or `make stop` first."
                )
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"Parts of a killed run still use {root}: `ps` shows them; end them, start again."
                )
            time.sleep(0.05)
        lock = Lock(descriptor, after_a_kill=_pid(descriptor) is not None)
        os.pwrite(descriptor, str(os.getpid()).encode().ljust(20), 0)
        try:
            yield lock
        finally:
            os.truncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(root: Path) -> int | None:
    """The living process that runs the system in `root`, None if there is none."""
    if not (root / "lock").exists():
        return None
    descriptor = _open_lock(root)
    try:
        pid = None if _take(descriptor) else _pid(descriptor)
    finally:
        os.close(descriptor)
    return pid if pid is not None and is_alive(pid) else None


def _open_lock(root: Path) -> int:
    return os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0).decode().strip()
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
