"""Watch processes from outside, by number."""

import subprocess
import time
from collections.abc import Iterable


def descendants(pid: int, *, generations: int = 99) -> set[int]:
    """The living processes that descend from `pid`, without it."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listing.stdout.splitlines()]
    children = [(int(child), int(parent)) for child, parent, state in rows if not state.startswith("Z")]
    family = {pid}
    for _ in range(generations):
        grown = family | {child for child, parent in children if parent in family}
        if grown == family:
            break
        family = grown
    return family - {pid}


def is_alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie, dead but not yet collected by its parent, does not."""
    answer = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(answer.stdout.strip()) and not answer.stdout.strip().startswith("Z")


def wait_for_end(pids: Iterable[int], *, seconds: float = 15) -> None:
    """Return once all have ended; fail the test naming those that have not."""
    deadline = time.monotonic() + seconds
    left = set(pids)
    while left := {pid for pid in left if is_alive(pid)}:
        assert time.monotonic() < deadline, f"still running after {seconds} s: {left}"
        time.sleep(0.02)


def command_of(pid: int) -> str:
    """The command line of a process, empty if it has ended."""
    return subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
