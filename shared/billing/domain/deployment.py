"""What is looked at in a deployment, and what each thing found means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

State = Literal["ok", "failed", "unknown"]
"""`unknown`: it could not be looked at; `detail` says why."""

MOST_SKEW = 10.0
"""Seconds between our clock and Stripe's. A signature is good for 300; same-second order is settled by Stripe's own."""

OLDEST_RUN = timedelta(hours=26)
"""Of the last whole reconciliation that repaired: one a day, and two hours for it to end."""

OLDEST_DEBT = timedelta(minutes=5)
"""Of a publication: the sweep comes each minute."""

MOST_WAITING = 1_000
"""Events in the queue: more than a worker applies in a minute."""

_STRIPE_KEY = re.compile(r"(sk|rk)_(live|test)_[A-Za-z0-9_-]{16,}", re.ASCII)
_KINDS = {"sk": "secret", "rk": "restricted"}


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` names the fault, for those who advise; it is the check's own name where nothing is wrong."""

    check: str
    state: State
    code: str
    detail: str


def fine(check: str, detail: str) -> Finding:
    return Finding(check, "ok", check, detail)


def failed(check: str, code: str, detail: str) -> Finding:
    return Finding(check, "failed", code, detail)


def unknown(check: str, detail: str) -> Finding:
    return Finding(check, "unknown", check, detail)


def judge_migrations(level: int, wanted: int) -> Finding:
    """A later level is fine: an older release runs on it after a rollback."""
    said = f"the schema is at level {level}, this release needs {wanted}"
    return fine("migrations", said) if level >= wanted else failed("migrations", "migrations_behind", said)


def judge_stripe_key(key: object, *, livemode: bool) -> Finding:
    """By its prefix: `sk_` or `rk_`, then the mode. Nothing of what follows is told."""
    check, mode = "stripe key", "live" if livemode else "test"
    if not isinstance(key, str) or not key:
        return failed(check, "stripe_key_unset", "none is stored yet")
    found = _STRIPE_KEY.fullmatch(key)
    if found is None:
        return failed(check, "stripe_key_malformed", "what is stored does not look like a secret key of Stripe")
    if found[2] != mode:
        return failed(check, "stripe_key_mode", f"it is a {found[2]} key, and this stage is for {mode} mode")
    return fine(check, f"a {_KINDS[found[1]]} key of {mode} mode")


def judge_clock(began: datetime, ended: datetime, theirs: int) -> Finding:
    """Ours, from before a question to Stripe until after its answer, against the second that it named there."""
    skew = max(began.timestamp() - (theirs + 1), theirs - ended.timestamp(), 0.0)
    if skew > MOST_SKEW:
        return failed("clock", "clock_skewed", f"the service's differs from Stripe's by {skew:.0f} s")
    return fine("clock", f"the service's is within {max(skew, 1):.0f} s of Stripe's")


def judge_queue(waiting: int) -> Finding:
    said = f"about {waiting} events wait"
    return failed("queue", "queue_behind", said) if waiting > MOST_WAITING else fine("queue", said)


def judge_dead_letters(waiting: int) -> Finding:
    check = "dead letters"
    return failed(check, "dead_letters", f"about {waiting} wait for you") if waiting else fine(check, "none")


def judge_reconciliation(done_at: datetime | None, now: datetime) -> Finding:
    check = "reconciliation"
    if done_at is None:
        return failed(check, "reconciliation_never", "no whole run was done yet")
    said = f"the last whole run was done {max(int((now - done_at).total_seconds() // 3600), 0)} h ago"
    return failed(check, "reconciliation_old", said) if now - done_at > OLDEST_RUN else fine(check, said)


def judge_outbox(debts: int, since: datetime | None, now: datetime) -> Finding:
    late = since is not None and now - since > OLDEST_DEBT
    age = 0 if since is None else max(int((now - since).total_seconds()), 0)
    said = f"{debts} publications are owed, the oldest for {age} s" if debts else "nothing is owed"
    return failed("outbox", "outbox_late", said) if late else fine("outbox", said)
