"""`billing reconcile` and `billing runs`: Stripe, the store and the cache compared, with evidence."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN, Answer, segment
from billing_cli.command import Session, command
from billing_cli.commands.grants import ReasonOption
from billing_cli.faults import CHANGES, Fault
from billing_cli.lists import all_pages, show_list
from billing_cli.screen import Column

ROOT = typer.Typer()
GROUP = typer.Typer(no_args_is_help=True, help="Runs of the reconciliation: list, show, report, approve, cancel.")

POLL = 2.0
"""Seconds between two looks at a run."""

_RECONCILE = f"{ADMIN}/reconcile"
_RUNS = f"{_RECONCILE}/runs"
_STEPS = ("find", "try", "again", "take")

RunArgument = Annotated[str, typer.Argument(metavar="RUN", show_default=False)]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Stay until it ends; it goes on without you, too.")]


class Pass(StrEnum):
    EVENTS = "events"
    LISTING = "listing"
    HOLDINGS = "holdings"
    CACHE = "cache"


class Status(StrEnum):
    OPEN = "open"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


@command(
    ROOT,
    "reconcile",
    examples=["billing reconcile --dry-run", "billing reconcile --project notes --pass listing --max-revocations 25"],
    writes=True,
)
def reconcile(
    session: Session,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Find and tell; change nothing.")] = False,
    project: Annotated[str | None, typer.Option(metavar="ID", show_default="all projects")] = None,
    passes: Annotated[
        list[Pass] | None, typer.Option("--pass", help="May be repeated.", show_default="all of them")
    ] = None,
    max_revocations: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Take access from so many customers without asking.",
            show_default="1 % of those who hold anything, at least 10",
        ),
    ] = None,
    wait: WaitOption = True,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 4 if anything differed.")] = False,
) -> None:
    """Compare Stripe, the store and the cache now, and repair what differs."""
    body: dict[str, Any] = {"dry_run": dry_run}
    body |= {} if project is None else {"project_id": project}
    body |= {} if max_revocations is None else {"max_revocations": max_revocations}
    body |= {"passes": [one.value for one in passes]} if passes else {}
    answer = session.write("POST", _RECONCILE, body)
    run = _watched(session, answer) if wait else answer
    session.show(run, lambda document: _show(session, document))
    _judge(run.document)
    if exit_code and run.document["drifts"]:
        raise typer.Exit(CHANGES)


@command(GROUP, "list", examples=["billing runs list", "billing runs list --status failed"], lists=True)
def list_runs(session: Session, *, status: Annotated[Status | None, typer.Option(help="Those in it.")] = None) -> None:
    """The runs, newest first."""
    columns: dict[str, Column] = {
        "ID": "id",
        "STATUS": lambda row: row["status"] + (" (dry)" if row["dry_run"] else ""),
        "STARTED": "started_at",
        "BY": "actor",
        "SECONDS": "duration_seconds",
        "LOOKED AT": "listed",
        "DRIFTS": "drifts",
        "ERROR": "error",
    }
    show_list(session, _RUNS, columns, {"status": status and status.value})


@command(GROUP, "show", examples=["billing runs show run_5f1e…", "billing runs show run_5f1e… --takes"], lists=True)
def show(
    session: Session,
    run_id: RunArgument,
    *,
    takes: Annotated[bool, typer.Option("--takes", help="Only what takes access from somebody.")] = False,
) -> None:
    """One run, and what it found. `--json` shows each object before and after, too."""
    run = session.read(f"{_RUNS}/{segment(run_id)}").document
    if not session.screen.as_json:
        _show(session, run)
        session.screen.heading("drifts")
    columns: dict[str, Column] = {
        "N": "n",
        "KIND": "kind",
        "TYPE": "object_type",
        "OBJECT": "object_id",
        "PROJECT": "project_id",
        "USER": "user_id",
        "TAKES": "takes",
        "BECAME": "status",
        "REASON": "reason",
    }
    show_list(session, f"{_RUNS}/{segment(run_id)}/drifts", columns, {"takes": "true" if takes else None})


@command(
    GROUP, "report", examples=["billing runs report run_5f1e… > report.md", "billing runs report run_5f1e… --json"]
)
def report(session: Session, run_id: RunArgument) -> None:
    """The whole evidence of a run: in Markdown, or with `--json` the run and every drift."""
    path = f"{_RUNS}/{segment(run_id)}"
    if not session.screen.as_json:
        session.screen.answer(session.read_text(f"{path}/report"))
        return
    run = session.read(path).document
    session.screen.answer(
        Answer.of({**run, "evidence": all_pages(session, f"{path}/drifts", {}).document["data"]}).text
    )


@command(
    GROUP,
    "approve",
    examples=['billing runs approve run_5f1e… --reason "they are test accounts"'],
    writes=True,
)
def approve(session: Session, run_id: RunArgument, *, reason: ReasonOption, wait: WaitOption = True) -> None:
    """Let a waiting run take access from those it names. It looks afresh, and waits again if they became more."""
    answer = session.write("POST", f"{_RUNS}/{segment(run_id)}/approve", {"reason": reason})
    run = _watched(session, answer) if wait else answer
    session.show(run, lambda document: _show(session, document))
    _judge(run.document)


@command(GROUP, "cancel", examples=['billing runs cancel run_5f1e… --reason "wrong Stripe key"'], writes=True)
def cancel(session: Session, run_id: RunArgument, *, reason: ReasonOption) -> None:
    """End a run that is open or waiting. What it repaired stays repaired."""
    answer = session.write("POST", f"{_RUNS}/{segment(run_id)}/cancel", {"reason": reason})
    session.show(answer, lambda document: _show(session, document))


def _watched(session: Session, answer: Answer) -> Answer:
    """The run as it is when it is open no more."""
    run_id = answer.document["id"]
    session.screen.note(f"{run_id} began. It goes on without you: `billing runs show {run_id}`.")
    with session.screen.bar("Reconciling …") as advance:
        while True:
            run = session.api.read(f"{_RUNS}/{segment(run_id)}")
            advance(_part_done(run.document), _where(run.document))
            if run.document["status"] != Status.OPEN:
                return run
            session.means.pause(POLL)


def _part_done(run: Mapping[str, Any]) -> float:
    """Of the steps of all its passes; how long each takes nobody knows before."""
    passes: list[str] = run["passes"]
    doing = run["doing"]
    if run["status"] == Status.DONE:
        return 1.0
    if doing not in passes or run["step"] not in _STEPS:
        return 0.0
    return (passes.index(doing) + _STEPS.index(run["step"]) / len(_STEPS)) / len(passes)


def _where(run: Mapping[str, Any]) -> str:
    doing = f"{run['doing']}: {run['step']}" if run["doing"] else run["status"]
    stumbled = f", tries again after {run['error']}" if run["error"] else ""
    return f"{doing}, {run['listed']} looked at, {run['drifts']} differ{stumbled}"


def _show(session: Session, run: Mapping[str, Any]) -> None:
    members = ("id", "status", "dry_run", "project_id", "passes", "started_at", "finished_at", "listed", "takes_from")
    session.screen.facts(run, [*(name for name in members if name in run), *(["error"] if run["error"] else [])])
    rows = [{"kind": kind, **statuses} for kind, statuses in run["counts"].items()]
    if not rows:
        session.screen.note("Nothing differs." if run["status"] == Status.DONE else "No drift so far.")
        return
    columns: dict[str, Column] = {"DRIFT": "kind"}
    columns |= {name.upper(): _number(name) for name in ("found", "repaired", "left", "failed")}
    session.screen.table(rows, columns)


def _number(name: str) -> Column:
    return lambda row: row.get(name, 0)


def _judge(run: Mapping[str, Any]) -> None:
    """Raises Fault for a run that needs a person."""
    run_id = run["id"]
    match run["status"]:
        case Status.WAITING:
            raise Fault(
                f"{run_id} waits: it would take access from {run.get('takes_from', 'many')} customers.",
                f"See whom: `billing runs report {run_id}`. Then `billing runs approve {run_id} --reason …`, or "
                f"`billing runs cancel {run_id} --reason …`. What gives access is repaired already.",
            )
        case Status.FAILED:
            raise Fault(
                f"{run_id} failed: {run['error']}.",
                "The log has more under its id. Mend that, and start another: what it repaired stays repaired.",
            )
