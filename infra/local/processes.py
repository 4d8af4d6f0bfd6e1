"""Child processes that end with us, however we end (see `guard.py`)."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
LOG_TAIL_LINES = 15


class LocalStackError(Exception):
    """A part of the local system did not start or failed; the message says which one and how to mend it."""


@dataclass(frozen=True)
class Guarded:
    """A running command under its guard. `pid` is the guard's."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def exit_code(self) -> int | None:
        return self.process.poll()

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES:])


@contextmanager
def guarded(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str],
    stop_signal: signal.Signals = signal.SIGTERM,
    grace: float = 10.0,
    account: str = "same",
    keep_fds: Sequence[int] = (),
    cwd: Path | None = None,
) -> Iterator[Guarded]:
    """Run `command` until the block ends or this process dies; its output goes to the end of `log`.

    `grace` is in seconds from `stop_signal` to SIGKILL. `keep_fds` stay open in the guard alone (a lock held by
    one is free once the command has ended). Ctrl-C does not reach the command: the block's end stops it.
    """
    lifeline, ours = os.pipe()
    arguments = [str(lifeline), str(int(stop_signal)), str(grace), account, *map(str, command)]
    with ExitStack() as cleanup:
        cleanup.callback(os.close, ours)
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(GUARD), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=dict(env),
                    cwd=cwd,
                    pass_fds=(lifeline, *keep_fds),
                    start_new_session=True,
                )
        finally:
            os.close(lifeline)
        cleanup.pop_all()
        try:
            yield Guarded(name, log, process)
        finally:
            os.close(ours)
            process.wait(grace + 10)


def wait_until(ready: Callable[[], bool], process: Guarded, *, seconds: float = 30.0) -> None:
    """Poll `ready` until it is true. Raises LocalStackError with the log's end if the command ends first."""
    deadline = time.monotonic() + seconds
    while not ready():
        code = process.exit_code()
        if code is not None:
            raise LocalStackError(
                f"{process.name} ended while starting (exit code {code}); its log says:\n{process.log_tail()}"
            )
        if time.monotonic() > deadline:
            raise LocalStackError(f"{process.name} was not ready after {seconds:.0f} s; see {process.log}")
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process of this number exists, ours or another user's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def free_port(preferred: int = 0) -> int:
    """`preferred` if nobody listens there, else a port the system picks. Another process may still take it first."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
