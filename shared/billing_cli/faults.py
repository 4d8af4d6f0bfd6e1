"""What ends a command early, each with its exit code. A fault says how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DONE = 0
REFUSED = 1
MISUSED = 2
UNREACHABLE = 3
CHANGES = 4


class Fault(Exception):
    """`mend` is what to do now."""

    exit_code = REFUSED

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


class Misused(Fault):
    """The command line, a file or a profile is not what the command takes; nothing was sent."""

    exit_code = MISUSED


class Declined(Fault):
    """The operator said no."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error answer (RFC 9457). `errors` are (pointer into what was sent, what is wrong there)."""

    status: int
    title: str
    detail: str
    code: str
    request_id: str
    retryable: bool
    errors: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(document: Any) -> Problem | None:
        """None: it is not one of this API's problem documents."""
        if not isinstance(document, dict) or not isinstance(document.get("code"), str):
            return None
        status = document.get("status")
        faults = document.get("errors") or []
        return Problem(
            status if isinstance(status, int) else 0,
            str(document.get("title", "")),
            str(document.get("detail", "")),
            document["code"],
            str(document.get("request_id", "")),
            document.get("retryable") is True,
            tuple((str(fault.get("pointer")), str(fault.get("detail"))) for fault in faults if isinstance(fault, dict)),
        )


class Refused(Fault):
    """The API said no, and the same request would be refused again."""

    def __init__(self, problem: Problem, mend: str) -> None:
        super().__init__(problem.title, mend)
        self.problem = problem


class Unreachable(Fault):
    """No answer, or none but that the service cannot answer now, however often it was asked."""

    exit_code = UNREACHABLE

    def __init__(self, what: str, mend: str = "", problem: Problem | None = None) -> None:
        super().__init__(what, mend)
        self.problem = problem
