"""An instant on two clocks at once, so that no trick of either makes an answer live longer than it should.

The monotonic clock may stand still while a machine or a serverless sandbox is frozen; the wall clock may be set back.
An instant counts as reached when either clock has reached it. Only spans are ever added: the local wall clock need not
agree with the service's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """Seconds. Tests bring their own."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def now(self) -> Moment:
        return Moment(self.monotonic(), self.wall())


class Moment(NamedTuple):
    monotonic: float
    wall: float

    def later(self, seconds: float) -> Moment:
        return Moment(self.monotonic + seconds, self.wall + seconds)

    def reached(self, now: Moment) -> bool:
        return now.monotonic >= self.monotonic or now.wall >= self.wall


NEVER = Moment(float("inf"), float("inf"))
