"""Half-open windows `[start, end)` of UTC instants, exact to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""The end of a window that does not end; no instant lies beyond it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST_SECOND = int((FOREVER - _EPOCH).total_seconds())


class Window(NamedTuple):
    """Contains `start`, does not contain `end`; a window whose end is not after its start contains nothing."""

    start: datetime
    end: datetime

    def contains(self, at: datetime) -> bool:
        return self.start <= at < self.end

    @property
    def empty(self) -> bool:
        return self.end <= self.start


def capped(instant: datetime, by: timedelta) -> datetime:
    """`instant + by`, never beyond `FOREVER`."""
    return FOREVER if by >= FOREVER - instant else instant + by


def from_seconds(seconds: int) -> datetime:
    """Stripe's whole seconds since 1970 as an instant; anything beyond `FOREVER` is `FOREVER`."""
    if seconds >= _LAST_SECOND:
        return FOREVER
    return _EPOCH + timedelta(seconds=seconds)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    return _EPOCH + count * _MICROSECOND


def rfc3339(instant: datetime) -> str:
    """`2026-11-23T15:04:05Z`, with microseconds only where there are any."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_rfc3339(text: str) -> datetime:
    """The instant that `rfc3339` wrote. Raises ValueError where the text names no zone."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone: add Z")
    return instant.astimezone(UTC)
