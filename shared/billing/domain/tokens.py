"""What an entitlement token says (docs/tokens.md), and until when: never past the end of anything it grants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from billing.domain.windows import parse_rfc3339

LONGEST = timedelta(minutes=5)
"""From `iat` to `exp`. Nothing takes a token back before its end."""

LONGEST_STALE = timedelta(minutes=1)
"""The same while the store cannot be asked: what was last known is soon looked at again."""

_EPOCH = parse_rfc3339("1970-01-01T00:00:00Z")
_SECOND = timedelta(seconds=1)


def claims_of(listed: Mapping[str, Any], until: datetime, issuer: str, now: datetime) -> dict[str, Any]:
    """The claims of the entitlements as listed at `now` (`domain.answers.entitlements_answer`).

    `until`: no answer about the user changes before.
    """
    issued = _seconds(now)
    longest = LONGEST_STALE if listed["stale"] else LONGEST
    expires = max(issued + 1, min(issued + longest // _SECOND, _seconds(until)))
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": listed["project_id"],
        "sub": listed["user_id"],
        "iat": issued,
        "exp": expires,
        "version": listed["version"],
        "entitlements": {
            each["feature"]: _held(each) for each in listed["entitlements"] if _outlasts(each["valid_to"], expires)
        },
    }
    return {**claims, "stale": True} if listed["stale"] else claims


def _held(entitlement: Mapping[str, Any]) -> dict[str, Any]:
    end = entitlement["valid_to"]
    return {"value": entitlement["value"]} | ({} if end is None else {"valid_to": end})


def _outlasts(valid_to: str | None, expires: int) -> bool:
    return valid_to is None or _seconds(parse_rfc3339(valid_to)) >= expires


def _seconds(instant: datetime) -> int:
    """Since 1970, rounded down."""
    return (instant - _EPOCH) // _SECOND
