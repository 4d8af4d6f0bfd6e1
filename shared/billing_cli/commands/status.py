"""`billing status`: does it live, is it ready, and does the key open it?"""

from __future__ import annotations

import json
from typing import Any

import typer

from billing_cli.api import ADMIN
from billing_cli.command import Session, command
from billing_cli.faults import Refused, Unreachable

ROOT = typer.Typer()


@command(ROOT, "status", examples=["billing status", "billing status --profile production --json"])
def status(session: Session) -> None:
    """Health, readiness part by part, and whether your key opens the API. Exit code 3 if a part does not work."""
    api = session.api
    with session.screen.working("Asking …"):
        alive, _ = api.probe("/healthz")
        ready, document = api.probe("/ready")
        key = _key(session)
    checks: dict[str, Any] = (document or {}).get("checks") or {}
    parts = {"alive": "ok" if alive == 200 else f"answers {alive}", **checks, "admin key": key}
    told = {"profile": api.target.name, "url": api.target.url, "ready": ready == 200, "checks": parts}
    if session.screen.as_json:
        session.screen.answer(json.dumps(told))
    else:
        session.screen.facts({"profile": api.target.name, "url": api.target.url, **parts})
    if ready != 200 or any(state != "ok" for state in parts.values()):
        raise Unreachable("Not all of it works.", "The part that is not `ok` says why.")


def _key(session: Session) -> str:
    try:
        session.api.read(f"{ADMIN}/projects", {"limit": 1})
    except Refused as fault:
        return f"{fault.problem.title} ({fault.problem.code})"
    except Unreachable as fault:
        return fault.what
    return "ok"
