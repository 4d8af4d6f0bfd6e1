"""What the gates of all frameworks share: whether a request goes on, and what is said to one that does not."""

from __future__ import annotations

from typing import NamedTuple

from billing_client.answers import Check

RETRY_AFTER = 2
"""Seconds; said where nobody could tell whether they may."""


class Turned(NamedTuple):
    """Away: the status and the problem document (RFC 9457) of the answer."""

    status: int
    problem: dict[str, str | int]
    headers: dict[str, str]


def turned_away(check: Check) -> Turned | None:
    """None: the request goes on. 503 where the service did not answer and the feature's policy is closed."""
    if check.allowed:
        return None
    if check.source == "policy":
        return Turned(
            503,
            _problem(503, "billing_unavailable", "It cannot be told now whether you may. Try again shortly."),
            {"retry-after": str(RETRY_AFTER)},
        )
    problem = _problem(403, "not_entitled", f"This needs {check.feature!r}.")
    return Turned(403, {**problem, "feature": check.feature, "reason": check.reason}, {})


def unknown_user() -> Turned:
    return Turned(401, _problem(401, "not_signed_in", "Sign in first."), {})


def _problem(status: int, code: str, detail: str) -> dict[str, str | int]:
    return {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
