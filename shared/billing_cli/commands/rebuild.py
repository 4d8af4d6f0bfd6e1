"""`billing rebuild`: the store built anew out of Stripe, after its loss or to adopt an account that sells already."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN, Answer
from billing_cli.command import Session, command
from billing_cli.faults import Fault

ROOT = typer.Typer()

_REBUILD = f"{ADMIN}/rebuild"
_FATES = ("taken", "known", "foreign", "passed_over", "left_out", "held_back")


@command(
    ROOT,
    "rebuild",
    examples=[
        "billing rebuild",
        "billing rebuild --status",
        "billing rebuild --into-nonempty --max-revocations 25",
        'billing rebuild --approve "they were refunded last year"',
    ],
    writes=True,
)
def rebuild(
    session: Session,
    *,
    status: Annotated[bool, typer.Option("--status", help="Only look how far the latest one got.")] = False,
    into_nonempty: Annotated[
        bool, typer.Option("--into-nonempty", help="Though the store knows of sales: add what it lacks.")
    ] = False,
    max_revocations: Annotated[
        int | None,
        typer.Option(min=0, help="Customers it may take something from unasked [default: 1 %, at least 10]."),
    ] = None,
    approve: Annotated[
        str | None, typer.Option(metavar="REASON", help="Let the one that waits take what it would take.")
    ] = None,
    cancel: Annotated[str | None, typer.Option(metavar="REASON", help="End the one that waits.")] = None,
) -> None:
    """Read all that Stripe has into the store. Ctrl-C and run it again: it goes on. First create the projects again:
    docs/disaster-recovery.md has the whole way.
    """
    body: dict[str, Any] = {"into_nonempty": into_nonempty}
    body |= {} if max_revocations is None else {"max_revocations": max_revocations}
    if cancel is not None:
        answer = session.write("POST", f"{_REBUILD}/cancel", {"reason": cancel})
    elif status:
        answer = session.read(_REBUILD)
    else:
        if approve is not None:
            session.api.write("POST", f"{_REBUILD}/approve", {"reason": approve}, f"{session.idempotency_key}-approve")
        answer = _to_the_end(session, body)
    session.show(answer, lambda told: _render(session, told))
    if answer.document["status"] == "waiting":
        raise Fault(
            f"It waits: it would take access from {answer.document['takes_from']} customers.",
            "See what is held back. Then `billing rebuild --approve REASON`, or `billing rebuild --cancel REASON`. "
            "What gives access is done already.",
        )


def _to_the_end(session: Session, body: dict[str, Any]) -> Answer:
    """Slice by slice; each is a request of its own."""
    part, before = 0, None
    with session.screen.working("Rebuilding …") as progress:
        while True:
            answer = session.api.write("POST", _REBUILD, body, f"{session.idempotency_key}-{part}")
            told, part = answer.document, part + 1
            if told["status"] != "open":
                return answer
            if told == before:
                session.means.pause(1.0)  # Stripe's limit is used up for now
            before = told
            progress.update(_progress(told))


def _progress(told: dict[str, Any]) -> str:
    place = told["stages"].index(told["stage"]) + 1
    objects = sum(sum(of_stage.values()) for of_stage in told["counts"].values())
    return f"Rebuilding … {told['stage']} ({place} of {len(told['stages'])} lists), {objects} objects so far"


def _render(session: Session, told: dict[str, Any]) -> None:
    session.screen.facts(told, ("id", "status", "stage", "actor", "started_at", "finished_at"))
    rows = [{"list": stage, **told["counts"][stage]} for stage in told["stages"] if stage in told["counts"]]
    session.screen.heading("objects")
    session.screen.table(rows, {"LIST": "list", **{fate.upper().replace("_", " "): fate for fate in _FATES}})
    if told["left_out"]:
        session.screen.heading("left out")
        columns = {"ID": "id", "LIST": "stage", "CODE": "code", "WHY": "detail"}
        session.screen.table(told["left_out"], columns)
    if told["status"] == "open":
        session.screen.note("It is not done: `billing rebuild` goes on with it.")
    elif told["status"] == "done":
        session.screen.note("Next: billing catalog apply for each project, then billing reconcile.")
