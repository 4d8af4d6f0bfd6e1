"""Scripted outages of the API: the next matching requests fail in the way asked for."""

import re
from dataclasses import dataclass, replace
from typing import Literal

Action = Literal["429", "500", "503", "timeout", "reset", "slow"]
Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Fault:
    """One scripted outage.

    match: a regular expression searched in "METHOD /path"; times: how many requests are left to fail (None: all);
    apply: "before" fails without effect, "after" does the work and loses the answer; seconds: how long "timeout"
    holds the line before it hangs up and "slow" before it goes on.
    """

    match: str = ""
    action: Action = "500"
    times: int | None = 1
    apply: Moment = "before"
    seconds: float = 30.0


class Faults:
    def __init__(self) -> None:
        self._script: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """ValueError if `match` is no regular expression."""
        try:
            re.compile(fault.match)
        except re.error as error:
            raise ValueError(f"match: {error}") from error
        self._script.append(fault)

    def clear(self) -> None:
        self._script.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The first fault in the script that hits this request, one time used up."""
        for index, fault in enumerate(self._script):
            if re.search(fault.match, f"{method} {path}"):
                self._use(index, fault)
                return fault
        return None

    def _use(self, index: int, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times <= 1:
            del self._script[index]
        else:
            self._script[index] = replace(fault, times=fault.times - 1)
