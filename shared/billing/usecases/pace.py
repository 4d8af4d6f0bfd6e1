"""How fast a run asks Stripe: so many questions a second, with a second's worth saved up at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """A token bucket for one caller: a run has one worker at a time, so none is shared. `clock` counts seconds."""

    per_second: float
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    _due: float = 0.0

    def spend(self) -> None:
        """Wait until one more question may be asked."""
        now = self.clock()
        self._due = max(self._due, now - 1.0) + 1.0 / self.per_second
        if self._due > now:
            self.sleep(self._due - now)
