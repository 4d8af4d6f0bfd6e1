"""Workers to be killed: each a process of its own that runs a function's real handler once.

They are forked from a process that has imported everything and opened nothing, so one costs milliseconds, not a start
of Python.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Literal

from functions.outbox.handler import build as build_outbox
from functions.reconciliation.handler import build as build_reconciliation

Function = Literal["reconciliation", "outbox"]

TICK = {"detail-type": "Scheduled Event", "detail": {}}
CONTEXT = SimpleNamespace(aws_request_id="killed", get_remaining_time_in_millis=lambda: 900_000)
_PATIENCE = 60.0
_BROKE = 1


@dataclass(frozen=True)
class Task:
    """One invocation by the minute's tick, which takes `now` for the time; what it prints goes to the file `log`."""

    function: Function
    environ: Mapping[str, str]
    now: datetime
    log: Path


class Stuck(Exception):
    """The process that workers are forked from does not answer."""


@dataclass
class Workers:
    """One worker at a time."""

    line: Connection
    pid: int = 0
    status: int | None = None
    watch: Thread | None = None

    def start(self, task: Task, ended: Callable[[], object]) -> None:
        """`ended` is called, in another thread, once the worker has ended."""
        self.line.send(task)
        self.pid, self.status = 0, None
        self.pid = self._heard()
        self.watch = Thread(target=self._watch, args=(ended,))
        self.watch.start()

    def has_ended(self) -> bool:
        """Never waits."""
        return self.status is not None

    def kill(self) -> None:
        """SIGKILL, if it has not ended by itself: when this returns, the process is gone."""
        if self.pid and self.status is None:
            with contextlib.suppress(ProcessLookupError):  # it ended this moment
                os.kill(self.pid, signal.SIGKILL)
        if self.watch is not None:
            self.watch.join()

    @property
    def exit_code(self) -> int | None:
        """Minus the number of the signal that ended it; None: it has not ended."""
        return None if self.status is None else os.waitstatus_to_exitcode(self.status)

    def _watch(self, ended: Callable[[], object]) -> None:
        if self.line.poll(_PATIENCE):
            self.status = int(self.line.recv())
        ended()

    def _heard(self) -> int:
        if not self.line.poll(_PATIENCE):
            raise Stuck(f"no worker was started within {_PATIENCE:.0f} s")
        return int(self.line.recv())


@contextmanager
def run_workers() -> Iterator[Workers]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    nursery = context.Process(target=_serve, args=(theirs,))
    nursery.start()
    theirs.close()
    try:
        yield Workers(ours)
    finally:
        ours.close()
        nursery.join(_PATIENCE)
        nursery.kill()


def _serve(line: Connection) -> None:
    """Fork, tell the child's number, wait for its end, tell that; until the caller hangs up."""
    gc.freeze()  # a collection in a child would copy all pages of what was imported
    while True:
        try:
            task: Task = line.recv()
        except EOFError:
            return
        pid = os.fork()
        if pid == 0:
            line.close()
            os._exit(_work(task))
        line.send(pid)
        line.send(os.waitpid(pid, 0)[1])


def _work(task: Task) -> int:
    with task.log.open("a") as log:
        sys.stderr = log
        try:
            build = {"reconciliation": build_reconciliation, "outbox": build_outbox}[task.function]
            build(task.environ, lambda: task.now)(dict(TICK), CONTEXT)
        except Exception:  # noqa: BLE001  the caller sees the exit code, and the log says why
            traceback.print_exc(file=log)
            return _BROKE
    return 0
