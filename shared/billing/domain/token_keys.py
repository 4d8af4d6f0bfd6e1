"""The key pairs that sign entitlement tokens, as they are stored, oldest first, and what each is for at an instant.

`{"keys": [{"kid": "…", "private": "PEM", "created_at": "…", "signs_from": "…"}]}`. Nothing has to run for a rotation to
go on: which key signs, and which are published, is read off the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from billing.domain.windows import parse_rfc3339, rfc3339

PUBLISHED_AHEAD = timedelta(minutes=15)
"""From publication until it signs: verifiers fetch the keys every 5 minutes, functions read them every minute."""

WITHDRAWN_AFTER = timedelta(minutes=10)
"""From when its successor signs until a key is published no more: its last token lives for 5 minutes, clocks differ."""

State = Literal["next", "current", "previous", "withdrawn"]


class SigningKey(NamedTuple):
    """`private` is a PEM of PKCS #8; `kid` the thumbprint of its public key (RFC 7638)."""

    kid: str
    private: str
    created_at: datetime
    signs_from: datetime

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r}, …)"


def keys_of(value: Mapping[str, object]) -> tuple[SigningKey, ...] | None:
    """Those in the stored JSON; none before the first is made. None where it is not as it must be."""
    entries = value.get("keys")
    if not isinstance(entries, list):
        return None
    try:
        return tuple(
            SigningKey(
                str(entry["kid"]),
                str(entry["private"]),
                parse_rfc3339(entry["created_at"]),
                parse_rfc3339(entry["signs_from"]),
            )
            for entry in entries
        )
    except (KeyError, TypeError, ValueError):
        return None


def stored(keys: Iterable[SigningKey]) -> dict[str, object]:
    """The JSON to store."""
    return {
        "keys": [
            {
                "kid": key.kid,
                "private": key.private,
                "created_at": rfc3339(key.created_at),
                "signs_from": rfc3339(key.signs_from),
            }
            for key in keys
        ]
    }


def states(keys: Sequence[SigningKey], now: datetime) -> tuple[State, ...]:
    """What each is at `now`."""
    return tuple(_state(key, keys[place + 1 :], now) for place, key in enumerate(keys))


def signing(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The one that signs at `now`; None before the first is made."""
    return next((key for key, state in zip(keys, states(keys, now), strict=True) if state == "current"), None)


def published(keys: Sequence[SigningKey], now: datetime) -> tuple[SigningKey, ...]:
    """Those that verifiers are to know at `now`: with tokens alive, or soon to come."""
    return tuple(key for key, state in zip(keys, states(keys, now), strict=True) if state != "withdrawn")


def rotated(
    keys: Sequence[SigningKey], kid: str, private: str, now: datetime, *, at_once: bool
) -> tuple[SigningKey, ...] | None:
    """The keys with another one, that signs once verifiers know it; None while another rotation is under way.

    The first signs from `now` on. So does one made `at_once`, and all others are withdrawn: their tokens end here.
    """
    if at_once or not published(keys, now):
        return (SigningKey(kid, private, now, now),)
    if keys[-1].signs_from > now:
        return None
    return (*published(keys, now), SigningKey(kid, private, now, now + PUBLISHED_AHEAD))


def _state(key: SigningKey, later: Sequence[SigningKey], now: datetime) -> State:
    if key.signs_from > now:
        return "next"
    successors = [each.signs_from for each in later if each.signs_from <= now]
    if not successors:
        return "current"
    return "withdrawn" if now >= min(successors) + WITHDRAWN_AFTER else "previous"
