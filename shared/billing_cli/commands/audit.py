"""`billing audit`: who did what, and the proof that nobody changed it since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN, Answer
from billing_cli.command import Session, command
from billing_cli.commands.projects import PROJECTS
from billing_cli.faults import Fault, Unreachable
from billing_cli.lists import all_pages, show_list
from billing_cli.screen import Column

GROUP = typer.Typer(no_args_is_help=True, help="The audit log: list, verify.")

_AUDIT = f"{ADMIN}/audit"

ProjectArgument = Annotated[str | None, typer.Argument(metavar="PROJECT", show_default="all projects")]


@command(
    GROUP,
    "list",
    examples=["billing audit list notes", "billing audit list --action key.revoke --actor ann"],
    lists=True,
)
def list_acts(
    session: Session,
    project: ProjectArgument = None,
    *,
    action: Annotated[str | None, typer.Option(help="Such as grant.create.")] = None,
    target: Annotated[str | None, typer.Option(metavar="ID", help="What was acted on.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="The name of an admin key.")] = None,
) -> None:
    """Who did what, newest first. `--json` shows each state before and after, too."""
    columns = {
        "AT": "at",
        "PROJECT": "project_id",
        "SEQ": "seq",
        "ACTOR": "actor",
        "ACTION": "action",
        "TARGET": "target",
        "REASON": "reason",
    }
    query = {"project_id": project, "action": action, "target": target, "actor": actor}
    show_list(session, _AUDIT, columns, query)


@command(
    GROUP,
    "verify",
    examples=["billing audit verify", "billing audit verify notes --from 118:9f86d0…"],
)
def verify(
    session: Session,
    project: ProjectArgument = None,
    *,
    anchor: Annotated[
        str | None, typer.Option("--from", metavar="SEQ:HASH", help="An entry known to be true: prove what follows it.")
    ] = None,
) -> None:
    """Prove every entry to the head of its chain; exit code 1 and the place if anything was altered.

    Keep the printed heads somewhere else: a log cut off at its end is found by proving from a head of before.
    """
    first = _proof(session, project, anchor)
    chains = [_to_the_end(session, chain) for chain in first["chains"]]
    if project is None and not first["complete"]:
        chains += _others(session, {chain["project_id"] for chain in chains})
    ok, complete = (all(chain[word] for chain in chains) for word in ("ok", "complete"))
    answer = Answer.of({"ok": ok, "complete": complete, "chains": chains})
    session.show(answer, lambda _: session.screen.table(chains, _columns()))
    if any(chain["broken_at"] for chain in chains):
        raise Fault("The audit log is not as it was written.", "Keep a copy of the database, and find out who could.")
    if not complete:
        raise Unreachable(
            "The proof was not finished: time was up.", "Prove project by project, when less is going on."
        )


def _proof(session: Session, project: str | None, anchor: str | None) -> dict[str, Any]:
    query = {"project_id": project, "verify": "true", "verify_from": anchor, "limit": 1}
    found: dict[str, Any] = session.read(_AUDIT, query).document["verification"]
    return found


def _to_the_end(session: Session, chain: dict[str, Any]) -> dict[str, Any]:
    """A long chain is proven in several requests, each from where the one before ended."""
    before = None
    while chain["broken_at"] is None and not chain["complete"] and chain["project_id"] and chain["proven"] != before:
        before = chain["proven"]
        session.screen.note(f"{chain['project_id']}: proven as far as {before.partition(':')[0]}.")
        [chain] = _proof(session, chain["project_id"], before)["chains"]
    return chain


def _others(session: Session, known: set[str | None]) -> list[dict[str, Any]]:
    """The chains that one request for all had no time to begin, project by project."""
    rows = all_pages(session, PROJECTS, {}).document["data"]
    ids = [row["id"] for row in rows if row["id"] not in known]
    return [_to_the_end(session, chain) for each in ids for chain in _proof(session, each, None)["chains"]]


def _columns() -> Mapping[str, Column]:
    return {
        "PROJECT": lambda row: row["project_id"] or "(none)",
        "OK": "ok",
        "HEAD": "head",
        "BROKEN AT": lambda row: row["broken_at"] and f"{row['broken_at']['seq']}: {row['broken_at']['detail']}",
    }
