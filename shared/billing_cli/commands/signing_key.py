"""`billing signing-key`: the keys that sign entitlement tokens. Their private halves are shown to nobody."""

from __future__ import annotations

from typing import Annotated

import typer

from billing_cli.api import ADMIN
from billing_cli.command import Session, command
from billing_cli.commands.projects import ReasonOption
from billing_cli.screen import Column

GROUP = typer.Typer(no_args_is_help=True, help="The keys that sign entitlement tokens: show them, rotate.")

_KEYS = f"{ADMIN}/signing-keys"
_COLUMNS: dict[str, Column] = {"KEY": "kid", "STATE": "state", "CREATED": "created_at", "SIGNS FROM": "signs_from"}


@command(GROUP, "show", examples=["billing signing-key show", "billing signing-key show --json"])
def show(session: Session) -> None:
    """Each key, and what it is for now: `next` will sign, `previous` is published until its tokens have ended."""
    answer = session.read(_KEYS)
    session.show(answer, lambda document: session.screen.table(document["keys"], _COLUMNS))


@command(
    GROUP,
    "rotate",
    examples=["billing signing-key rotate", 'billing signing-key rotate --at-once --reason "laptop stolen"'],
    writes=True,
)
def rotate(
    session: Session,
    *,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="The old key may be known to others: withdraw it now, with its tokens.")
    ] = False,
    reason: ReasonOption = None,
) -> None:
    """Make another key, or the first. It is published now and signs in 15 minutes; nobody notices. There is no second
    step.
    """
    body = {"at_once": at_once} | ({} if reason is None else {"reason": reason})
    answer = session.write("POST", f"{_KEYS}/rotate", body)
    session.show(answer, lambda document: session.screen.table(document["keys"], _COLUMNS))
    if at_once:
        session.screen.note("Within a minute no old key signs; verifiers forget it when they next fetch the keys.")
