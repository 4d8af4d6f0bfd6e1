"""The double's clock: real time plus an offset, or frozen. Whole seconds, as Stripe's.

Time never runs backwards for those who read it, but while `standing_at` replays what fell due in the past.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Clock:
    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen_at: int | None = None
        self._standing_at: int | None = None

    def now(self) -> int:
        """The present, in whole seconds since the epoch."""
        if self._standing_at is not None:
            return self._standing_at
        if self._frozen_at is not None:
            return self._frozen_at
        return int(time.time() + self._offset)

    def is_frozen(self) -> bool:
        return self._frozen_at is not None

    def move_to(self, instant: int) -> None:
        """Go to `instant`, frozen or not; ValueError if that lies in the past."""
        if instant < self.now():
            raise ValueError(f"the clock stands at {self.now()} and cannot go back to {instant}: reset the double")
        if self._frozen_at is not None:
            self._frozen_at = instant
        else:
            self._offset = instant - time.time()

    def freeze(self) -> None:
        """Stop ticking: whatever follows happens in the same second, until moved or thawed."""
        self._frozen_at = self.now()

    def thaw(self) -> None:
        if self._frozen_at is not None:
            self._offset = self._frozen_at - time.time()
            self._frozen_at = None

    @contextmanager
    def standing_at(self, instant: int) -> Iterator[None]:
        """Within, the present is `instant`: what fell due then happens then."""
        before, self._standing_at = self._standing_at, instant
        try:
            yield
        finally:
            self._standing_at = before

    def reading(self) -> dict[str, Any]:
        """What to save: `Clock.set` takes it back."""
        return {"offset": self._offset, "frozen_at": self._frozen_at}

    def set(self, reading: dict[str, Any]) -> None:
        self._offset, self._frozen_at = reading["offset"], reading["frozen_at"]
