"""`billing rebuild`: the store built anew out of Stripe, after its loss or to adopt an account that sells already."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN, Answer
from billing_cli.command import Session, command

ROOT = typer.Typer()

_REBUILD = f"{ADMIN}/rebuild"
_FATES = ("taken", "known", "foreign", "passed_over", "left_out")


@command(
    ROOT,
    "rebuild",
    examples=["billing rebuild", "billing rebuild --status", "billing rebuild --into-nonempty"],
    writes=True,
)
def rebuild(
    session: Session,
    *,
    status: Annotated[bool, typer.Option("--status", help="Only look how far the latest one got.")] = False,
    into_nonempty: Annotated[
        bool, typer.Option("--into-nonempty", help="Though the store knows of sales: add what it lacks.")
    ] = False,
) -> None:
    """Read all that Stripe has into the store. Ctrl-C and run it again: it goes on. First create the projects again:
    docs/disaster-recovery.md has the whole way.
    """
    answer = session.read(_REBUILD) if status else _to_the_end(session, {"into_nonempty": into_nonempty})
    session.show(answer, lambda told: _render(session, told))


def _to_the_end(session: Session, body: dict[str, Any]) -> Answer:
    """Slice by slice; each is a request of its own."""
    part, before = 0, None
    with session.screen.working("Rebuilding …") as progress:
        while True:
            answer = session.api.write("POST", _REBUILD, body, f"{session.idempotency_key}-{part}")
            told, part = answer.document, part + 1
            if told["status"] == "done":
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
    else:
        session.screen.note("Next: billing catalog apply for each project, then billing reconcile.")
