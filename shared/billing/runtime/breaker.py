"""Stops asking a dependency that does not answer, so that not every request waits for its time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

REST = 1.0
"""Seconds without a question after the last failure; then one tries again."""


class Breaker:
    """Opens after `failures` in a row, for `rest` seconds; the first question after that is a probe."""

    def __init__(self, failures: int = 1, rest: float = REST, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._rest = rest
        self._monotonic = monotonic
        self._count = 0
        self._failed_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether the dependency may be asked now."""
        return self._count < self._failures or self._monotonic() - self._failed_at >= self._rest

    def succeeded(self) -> None:
        self._count = 0

    def failed(self) -> None:
        self._count += 1
        self._failed_at = self._monotonic()
