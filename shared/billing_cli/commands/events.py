"""`billing events`: Stripe's events as they came, replayed; and dead letters, sent back to the worker."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN, Answer, segment
from billing_cli.command import Session, command
from billing_cli.commands.grants import ReasonOption
from billing_cli.faults import Misused, Unreachable
from billing_cli.lists import show_list
from billing_cli.values import instant

GROUP = typer.Typer(no_args_is_help=True, help="Stripe's events: list, show, replay; dead letters: count, redrive.")

TypeOption = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Such as invoice.paid.")]
FromOption = Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="Arrived then or later.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="INSTANT", help="Arrived before.")]
EverythingOption = Annotated[bool, typer.Option("--all", help="Until none is left.")]

_EVENTS = f"{ADMIN}/events"
_MOST = 100


class Status(StrEnum):
    APPLIED = "applied"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    FAILED = "failed"
    REJECTED_MODE = "rejected_mode"


@command(
    GROUP,
    "list",
    examples=["billing events list --status failed", "billing events list --type invoice.paid --from 2026-12-01"],
    lists=True,
)
def list_events(
    session: Session,
    *,
    status: Annotated[Status | None, typer.Option(help="What became of it.")] = None,
    kind: TypeOption = None,
    object_id: Annotated[str | None, typer.Option("--object", metavar="ID", help="About this object.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Of this Stripe customer, cus_…")] = None,
    received_from: FromOption = None,
    received_to: ToOption = None,
) -> None:
    """The inbox, newest first."""
    columns = {
        "ID": "event_id",
        "TYPE": "type",
        "STATUS": "status",
        "CREATED": "created",
        "RECEIVED": "received_at",
        "OBJECT": "object_id",
        "REASON": "reason",
    }
    query = {"status": status and status.value, "object_id": object_id, "customer": customer}
    show_list(session, _EVENTS, columns, {**query, **_window(kind, received_from, received_to)})


@command(GROUP, "show", examples=["billing events show evt_1f…"])
def show(session: Session, event_id: Annotated[str, typer.Argument(metavar="EVENT", show_default=False)]) -> None:
    """One event, its payload redacted."""

    def render(event: dict[str, Any]) -> None:
        session.screen.facts({name: value for name, value in event.items() if name != "payload"})
        session.screen.heading("payload")
        session.screen.line(json.dumps(event["payload"], indent=2, ensure_ascii=False))

    session.show(session.read(f"{_EVENTS}/{segment(event_id)}"), render)


@command(
    GROUP,
    "replay",
    examples=[
        'billing events replay evt_1f… --reason "price is mapped now"',
        'billing events replay --status failed --all --reason "bug mended in 1.4"',
    ],
    writes=True,
)
def replay(
    session: Session,
    event_id: Annotated[str | None, typer.Argument(metavar="EVENT", show_default=False)] = None,
    *,
    reason: ReasonOption,
    status: Annotated[Status | None, typer.Option(help="Many: those this became of.")] = None,
    kind: TypeOption = None,
    received_from: FromOption = None,
    received_to: ToOption = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="Many: so many at most.")] = 20,
    everything: EverythingOption = False,
) -> None:
    """Settle one event once more, or many, from their stored bodies. Never does anything twice."""
    if (event_id is None) == (status is None):
        raise Misused("Which events?", "Give an EVENT, or --status for many.")
    if event_id is not None:
        answer = session.write("POST", f"{_EVENTS}/{segment(event_id)}/replay", {"reason": reason})
        outcomes = [answer.document]
    else:
        body = {"status": status and status.value, "reason": reason, **_window(kind, received_from, received_to)}
        answer = _replay_many(session, body, limit, everything=everything)
        outcomes = answer.document["data"]
    columns = {"ID": "event_id", "WAS": "previous_status", "IS": "status", "REASON": "reason", "NOT NOW": "error"}
    session.show(answer, lambda _: session.screen.table(outcomes, columns))
    waiting = sum(1 for one in outcomes if one.get("error"))
    if waiting:
        raise Unreachable(f"{waiting} could not be replayed now; nothing of them changed.", "Replay them in a while.")


@command(GROUP, "dead-letters", examples=["billing events dead-letters"])
def dead_letters(session: Session) -> None:
    """How many messages the worker gave up, as the queue estimates it."""
    session.show(session.read(f"{_EVENTS}/dead-letters"), session.screen.facts)


@command(
    GROUP,
    "redrive",
    examples=['billing events redrive --all --reason "database is back"'],
    writes=True,
)
def redrive(
    session: Session,
    *,
    reason: ReasonOption,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="So many at most.")] = 20,
    everything: EverythingOption = False,
) -> None:
    """Send dead letters back to the worker, which applies them as if they had just come."""
    moved, part = 0, 0
    while True:
        body = {"limit": _MOST if everything else limit, "reason": reason}
        told = session.write("POST", f"{_EVENTS}/redrive", body, part=f"-{part}").document
        moved, part = moved + told["moved"], part + 1
        if not everything or told["moved"] == 0:
            break
        session.screen.note(f"{moved} moved.")
    session.show(Answer.of({**told, "moved": moved}), session.screen.facts)


def _replay_many(session: Session, body: dict[str, Any], limit: int, *, everything: bool) -> Answer:
    rows: list[Any] = []
    cursor: str | None = None
    while True:
        sent = {**body, "limit": _MOST if everything else limit, **({"cursor": cursor} if cursor else {})}
        page = session.write("POST", f"{_EVENTS}/replay", sent, part=f"-{len(rows)}").document
        rows += page["data"]
        cursor = page["next_cursor"]
        if not everything or not page["has_more"] or not page["data"]:
            break
        session.screen.note(f"{len(rows)} replayed.")
    if page["has_more"]:
        session.screen.note("There are more: --all takes them too.")
    return Answer.of({**page, "data": rows})


def _window(kind: str | None, received_from: str | None, received_to: str | None) -> dict[str, str]:
    given = {
        "type": kind,
        "received_from": received_from and instant("--from", received_from),
        "received_to": received_to and instant("--to", received_to),
    }
    return {name: value for name, value in given.items() if value}
