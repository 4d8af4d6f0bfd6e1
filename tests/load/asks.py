"""What micro-apps ask under load, and whether an answer is the right one. Both load drivers draw from here."""

import json
import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.local.seed import APP_URL

API = "/api/v1"
FEATURE = "export"
BATCH = 20
"""Pairs in a batch check: a page of a list that shows who may do what."""


@dataclass(frozen=True)
class Ask:
    """One request. `status` is the answer it must have; `allowed` what a check must say (None: no check).

    `needs_store`: has to be refused, honestly, while PostgreSQL is away.
    """

    name: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    status: int = 200
    allowed: bool | None = None
    needs_store: bool = False


@dataclass(frozen=True)
class Verdict:
    """`name` is the ask's, with how it was answered where that is worth a line of its own."""

    name: str
    fault: str | None = None


def check(user_id: str, *, allowed: bool) -> Ask:
    path = f"{API}/entitlements/check?user_id={user_id}&feature={FEATURE}"
    return Ask("check", "GET", path, allowed=allowed)


def stranger_check() -> Ask:
    """About a user nobody asked about before: the cache has nothing."""
    path = f"{API}/entitlements/check?user_id=stranger-{uuid.uuid4().hex}&feature={FEATURE}"
    return Ask("check, first of a user", "GET", path, allowed=False, needs_store=True)


def checkout(user_id: str) -> Ask:
    order = {"user_id": user_id, "lookup_key": "pro_monthly", "success_url": APP_URL, "cancel_url": APP_URL}
    return Ask("checkout", "POST", f"{API}/checkout", order, status=201, needs_store=True)


def listed(user_id: str) -> Ask:
    return Ask("list", "GET", f"{API}/entitlements?user_id={user_id}")


def portal(user_id: str) -> Ask:
    return Ask(
        "portal", "POST", f"{API}/portal", {"user_id": user_id, "return_url": APP_URL}, status=201, needs_store=True
    )


def forged_event() -> Ask:
    """Refused unread."""
    return Ask("forged webhook", "POST", f"{API}/webhooks/stripe", {"id": "evt_forged"}, status=400)


def read_heavy(holders: Sequence[str], others: Sequence[str], seed: int) -> Iterator[Ask]:
    """For ever: 90 % checks, 6 % lists, 2 % batches of 20, 1 % first checks of a user, 1 % portals and checkouts."""
    rng = random.Random(seed)  # noqa: S311  no secret, and the same load every time
    while True:
        match rng.choices(("check", "list", "batch", "first", "portal", "checkout"), (900, 60, 20, 10, 5, 5))[0]:
            case "check":
                held = rng.random() < 0.8
                yield check(rng.choice(holders if held else others), allowed=held)
            case "list":
                yield listed(rng.choice(holders))
            case "batch":
                pairs = [{"user_id": rng.choice(holders), "feature": FEATURE} for _ in range(BATCH)]
                yield Ask(f"batch of {BATCH}", "POST", f"{API}/entitlements/check", {"checks": pairs})
            case "first":
                yield stranger_check()
            case "portal":
                yield portal(rng.choice(holders))
            case _:
                yield checkout(f"visitor-{uuid.uuid4().hex}")


def checks_alone(holders: Sequence[str], seed: int) -> Iterator[Ask]:
    rng = random.Random(seed)  # noqa: S311  as above
    while True:
        yield check(rng.choice(holders), allowed=True)


def headers(ask: Ask, key: str) -> dict[str, str]:
    """The request's, with a fresh Idempotency-Key on a write."""
    more = {} if ask.body is None else {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex}
    return {"Authorization": f"Bearer {key}", **more}


def judged(ask: Ask, status: int, body: str, *, store_away: bool = False) -> Verdict:
    """Is the answer right? Where PostgreSQL may be away, 503 `retryable` is right for what needs it, and only there."""
    if status == 503 and store_away and ask.needs_store and _retryable(body):
        return Verdict(f"{ask.name}, 503 as promised")
    if status != ask.status:
        return Verdict(ask.name, f"answered {status}: {body[:200]}")
    if ask.allowed is None:
        return Verdict(ask.name)
    answer = json.loads(body)
    if answer["allowed"] is not ask.allowed:
        return Verdict(ask.name, f"said {answer['allowed']}, not {ask.allowed} ({answer['reason']})")
    return Verdict(f"{ask.name}, marked stale" if answer["stale"] else ask.name)


def _retryable(body: str) -> bool:
    return bool(json.loads(body).get("retryable"))
