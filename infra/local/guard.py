"""Run one command and never outlive the process that asked for it. A script of the standard library alone.

    python -I -S guard.py LIFELINE_FD STOP_SIGNAL GRACE_SECONDS ACCOUNT COMMAND...

The asker holds the other end of the pipe LIFELINE_FD. When it closes it, or dies in any way (kill -9 included),
the read end reports end of file, and the command gets STOP_SIGNAL, then SIGKILL after GRACE_SECONDS, with its
process group. If the guard itself is killed, Linux sends STOP_SIGNAL to the command (PR_SET_PDEATHSIG).

ACCOUNT says as whom the command runs: `same`; `UID:GID` (only root may); or `namespace`: root becomes user 1000 in
a user namespace of its own, for programs that refuse root although the files belong to it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NAMESPACE_ID = 1000


def main(argv: Sequence[str]) -> int:
    lifeline, stop_signal, grace, account, *command = argv
    wake = _wake_pipe()
    child = _start(command, account, int(stop_signal))
    _wait_for_an_end(child, int(lifeline), wake)
    if child.poll() is None:
        _stop(child, int(stop_signal), float(grace))
    _kill_group(child.pid)  # what the command started and left behind
    return child.returncode


def _wake_pipe() -> int:
    """A descriptor that turns readable when the command ends or the guard is asked to stop."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return readable


def _start(command: Sequence[str], account: str, stop_signal: int) -> subprocess.Popen[bytes]:
    uid, gid = (int(part) for part in account.split(":")) if ":" in account else (None, None)
    return subprocess.Popen(
        command,
        process_group=0,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        preexec_fn=_prepare(os.getpid(), stop_signal, namespace=account == "namespace"),  # noqa: PLW1509  one thread
    )


def _prepare(guard_pid: int, stop_signal: int, *, namespace: bool) -> Callable[[], None]:
    """What the command's process does to itself between fork and exec; libc is loaded before the fork."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        if namespace:
            _enter_namespace(libc)
        if LINUX:  # after any change of user, which clears it
            libc.prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
            if os.getppid() != guard_pid:
                os._exit(1)

    return prepare


def _enter_namespace(libc: ctypes.CDLL) -> None:
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{NAMESPACE_ID} {uid} 1"),
        ("gid_map", f"{NAMESPACE_ID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123  pathlib is slow to import
            file.write(line)


def _wait_for_an_end(child: subprocess.Popen[bytes], lifeline: int, wake: int) -> None:
    while child.poll() is None:
        readable, _, _ = select.select([lifeline, wake], [], [])
        if lifeline in readable:
            return
        if any(number != signal.SIGCHLD for number in os.read(wake, 64)):
            return


def _stop(child: subprocess.Popen[bytes], stop_signal: int, grace: float) -> None:
    deadline = time.monotonic() + grace
    child.send_signal(stop_signal)
    try:
        child.wait(deadline - time.monotonic())
    except subprocess.TimeoutExpired:
        _kill_group(child.pid)
        child.wait()


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody is left (macOS says EPERM of a group of zombies)
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
