"""Spares requests the wait for a service that is known to be down."""

from __future__ import annotations

import threading


class Breaker:
    """After so many reads in a row without an answer, one in `rest` seconds is a try; the others fail at once."""

    def __init__(self, failures: int = 3, rest: float = 1.0) -> None:
        self._allowed = failures
        self._rest = rest
        self._failures = 0
        self._until = float("-inf")
        self._lock = threading.Lock()

    def tries(self, now: float) -> bool:
        """Whether to ask. Who is told yes while it rests is the one try, so nobody else is for a while."""
        with self._lock:
            if self._failures < self._allowed:
                return True
            if now < self._until:
                return False
            self._until = now + self._rest
            return True

    def answered(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        with self._lock:
            self._failures += 1
            self._until = now + self._rest
