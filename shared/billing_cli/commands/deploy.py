"""`billing deploy check`: is a deployment as it should be, and if not, what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from billing_cli.advice import advice_of
from billing_cli.api import ADMIN
from billing_cli.command import Session, command
from billing_cli.faults import Fault, Refused, Unreachable

GROUP = typer.Typer(no_args_is_help=True, help="A deployment: check that all of it is as it should be.")

DEPLOYMENT = f"{ADMIN}/deployment"
WEBHOOKS = "/api/v1/webhooks/stripe"
JWKS = "/.well-known/jwks.json"

MOST_SKEW = 30.0
"""Seconds between this machine's clock and the service's."""

_UNKNOWN_STAGE = "STAGE"
_MARKS = {"ok": "✓", "failed": "✗", "unknown": "?"}

WebhookUrlOption = Annotated[
    str | None, typer.Option("--webhook-url", metavar="URL", show_default="the profile's URL + " + WEBHOOKS)
]


@dataclass(frozen=True, slots=True)
class Check:
    """`code` names the fault. `unknown`: it could not be looked at, and `detail` says why."""

    check: str
    state: Literal["ok", "failed", "unknown"]
    code: str
    detail: str


@command(
    GROUP,
    "check",
    examples=["billing deploy check", "billing deploy check --profile production --json"],
)
def check(session: Session, *, webhook_url: WebhookUrlOption = None) -> None:
    """Health, schema, secrets, the webhook endpoint at Stripe, clocks, queues, cache, outbox, reconciliation, your key.

    Each failure says how to mend it. Exit code 1 if anything failed. It changes nothing, and shows no secret.
    """
    with session.screen.working("Looking …"):
        told, found = _inspect(session, webhook_url_of(session, webhook_url))
        checks = [*_open(session), *found]
    stage = str(told.get("stage", _UNKNOWN_STAGE))
    failures = sum(one.state == "failed" for one in checks)
    _show(session, stage, checks)
    if failures:
        raise Fault(f"{failures} of {len(checks)} checks failed.", "Mend the first, then check again.")


def webhook_url_of(session: Session, given: str | None) -> str:
    """Where Stripe is to send its events."""
    return given or session.api.target.url + WEBHOOKS


def _open(session: Session) -> Iterator[Check]:
    """What anybody may ask: does it live, and is it ready, part by part?"""
    try:
        alive, _ = session.api.probe("/healthz")
        ready, document = session.api.probe("/ready")
    except Unreachable as fault:
        yield Check("health", "failed", "not_alive", fault.what)
        return
    yield _health(alive)
    parts: Mapping[str, str] = (document if isinstance(document, dict) else {}).get("checks") or {}
    wrong = "; ".join(f"{name}: {state}" for name, state in parts.items() if state != "ok")
    if ready == 200:
        yield Check("readiness", "ok", "readiness", ", ".join(parts))
    else:
        yield Check("readiness", "failed", "not_ready", wrong or f"/ready answers {ready}")
    yield _signing_keys(session)


def _signing_keys(session: Session) -> Check:
    """Those that are published: without one no entitlement token can be had."""
    name = "signing keys"
    try:
        status, document = session.api.probe(JWKS)
    except Unreachable as fault:
        return Check(name, "failed", "signing_keys_unreadable", fault.what)
    if status != 200 or not isinstance(document, dict):
        return Check(name, "failed", "signing_keys_unreadable", f"{JWKS} answers {status}")
    count = len(document.get("keys") or ())
    if count == 0:
        return Check(name, "failed", "signing_key_unset", "no key is made yet that could sign tokens")
    return Check(name, "ok", name, f"{count} published")


def _health(status: int) -> Check:
    if status == 200:
        return Check("health", "ok", "health", "it lives")
    return Check("health", "failed", "not_alive", f"/healthz answers {status}")


def _inspect(session: Session, webhook_url: str) -> tuple[Mapping[str, Any], list[Check]]:
    """What the service sees of itself, and what this machine's clock says to it."""
    began = session.means.now()
    try:
        told = session.api.read(DEPLOYMENT, {"webhook_url": webhook_url}).document
    except Refused as fault:
        return {}, [_refused(fault), _unseen(f"the service does not tell it ({fault.problem.code})")]
    except Unreachable as fault:
        return {}, [_unseen(fault.what)]
    ended = session.means.now()
    found = [Check(one["check"], one["state"], one["code"], one["detail"]) for one in told["checks"]]
    return told, [
        Check("admin key", "ok", "admin key", "it opens the API"),
        *found,
        _clock(began, told["as_of"], ended),
    ]


def _refused(fault: Refused) -> Check:
    problem = fault.problem
    code = {401: "invalid_api_key", 403: "wrong_role"}.get(problem.status, "other_release")
    return Check("admin key", "failed", code, problem.title)


def _unseen(why: str) -> Check:
    return Check("the service's own checks", "unknown", "unseen", why)


def _clock(began: datetime, as_of: str, ended: datetime) -> Check:
    """Nothing is known of where between question and answer the service looked at its clock."""
    theirs = datetime.fromisoformat(as_of)
    skew = max((began - theirs).total_seconds(), (theirs - ended).total_seconds(), 0.0)
    name = "this machine's clock"
    if skew > MOST_SKEW:
        return Check(name, "failed", "machine_clock", f"it differs from the service's by {skew:.0f} s")
    return Check(name, "ok", name, f"it is within {max(skew, 1):.0f} s of the service's")


def _show(session: Session, stage: str, checks: Iterable[Check]) -> None:
    url = session.api.target.url
    rows = [
        {
            "check": one.check,
            "state": one.state,
            "code": one.code,
            "detail": one.detail,
            "advice": advice_of(one.code, stage=stage, url=url) if one.state == "failed" else None,
        }
        for one in checks
    ]
    if session.screen.as_json:
        passed = all(row["state"] != "failed" for row in rows)
        told = {"profile": session.api.target.name, "url": url, "stage": stage, "passed": passed, "checks": rows}
        session.screen.answer(json.dumps(told, ensure_ascii=False))
        return
    for row in rows:
        state = "could not be checked" if row["state"] == "unknown" else row["state"]
        session.screen.line(f"{_MARKS[str(row['state'])]} {row['check']}: {state}, {row['detail']}")
        if row["advice"]:
            session.screen.line(f"  → {row['advice']}")
