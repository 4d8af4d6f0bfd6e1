"""What a check answers when the service cannot: decided feature by feature, beforehand, by whoever knows the price of a
wrong yes and of a wrong no.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Closed:
    """Deny. For what costs money or cannot be taken back."""


@dataclass(frozen=True, slots=True)
class Open:
    """Allow everybody, with this value (for a limit: the number to go by). For what annoys more than it costs."""

    value: Any = True


@dataclass(frozen=True, slots=True)
class Raise:
    """Raise Unavailable: the caller decides."""


CLOSED = Closed()
RAISE = Raise()


@dataclass(frozen=True, slots=True)
class LastKnown:
    """The last answer this process had, at most so many seconds old (a day at most) and never past its `valid_to`.

    `otherwise` where there is none.
    """

    seconds: float = 3600.0
    otherwise: Closed | Open | Raise = CLOSED

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= DAY:
            raise ValueError(f"LastKnown.seconds is {self.seconds:g}; give more than 0 and at most {DAY:g} (a day)")


Policy = Closed | Open | Raise | LastKnown
