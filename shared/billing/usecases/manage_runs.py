"""Runs of the reconciliation as operators handle them: start one, let it take what it wants to take, or end it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.domain.drift import PASSES, PassName
from billing.errors import Refused
from billing.store import audit, drifts, projects, runs
from billing.store.connection import Connection
from billing.store.runs import Run
from billing.usecases.operator import BILLING, Operator


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run shall do. `max_revocations`: customers it may take something from unasked; None: the default."""

    project_id: str | None = None
    passes: Sequence[PassName] = PASSES
    dry_run: bool = False
    max_revocations: int | None = None


def open_run(connection: Connection, wanted: Wanted, by: Operator | None, now: datetime) -> Run:
    """Open a run; slices (`reconcile.work`) do its work. `by` None: the schedule.

    A dry run leaves no trace but itself, not in the audit either. Raises Refused (`run_open` where one is open or
    waiting, `project_not_found`).
    """
    if wanted.project_id is not None and projects.find_project(connection, wanted.project_id) is None:
        raise Refused("project_not_found", f"there is no project {wanted.project_id}: list the projects for its id")
    run_id = f"run_{secrets.token_hex(12)}"
    passes = [name for name in PASSES if name in wanted.passes]
    opened = runs.insert_run(
        connection,
        run_id,
        cause="schedule" if by is None else "operator",
        actor=(by or BILLING).name,
        project_id=wanted.project_id,
        passes=passes,
        dry_run=wanted.dry_run,
        max_revocations=wanted.max_revocations,
        now=now,
    )
    if not opened:
        raise _at_work(connection)
    if by is not None and not wanted.dry_run:
        after = {"passes": passes, "max_revocations": wanted.max_revocations}
        audit.append(connection, by.act("reconcile.start", run_id, project_id=wanted.project_id, after=after), now)
    return _found(runs.find_run(connection, run_id), run_id)


def approve_run(connection: Connection, run_id: str, by: Operator, reason: str, now: datetime) -> Run:
    """Let a waiting run take from as many customers as it told. Its pass looks afresh first, with a new cut.

    Should it then want to take from more, it waits once more. Raises Refused (`run_not_found`, `run_not_waiting`).
    """
    run = _found(runs.lock_run(connection, run_id), run_id)
    if run.status != "waiting":
        raise Refused("run_not_waiting", f"{run_id} is {run.status}: only a run that waits can be approved")
    takes = drifts.count_losers(connection, run_id)
    if run.progress.doing is not None:
        drifts.discard_unsettled(connection, run_id, run.progress.doing)
    progress = run.progress.to_pass(run.progress.doing)
    runs.reopen_run(connection, run_id, progress, takes=takes, actor=by.name, now=now)
    after = {"takes_from": takes}
    act = by.act("reconcile.approve", run_id, project_id=run.project_id, reason=reason, after=after)
    audit.append(connection, act, now)
    return _found(runs.find_run(connection, run_id), run_id)


def cancel_run(connection: Connection, run_id: str, by: Operator, reason: str, now: datetime) -> Run:
    """End a run that is open or waiting: what it repaired stays, and it writes nothing any more.

    Raises Refused (`run_not_found`, `run_over`).
    """
    run = _found(runs.lock_run(connection, run_id), run_id)
    if run.status not in {"open", "waiting"}:
        raise Refused("run_over", f"{run_id} is {run.status} already: there is nothing to cancel")
    runs.settle_run(connection, run_id, "canceled", drifts.count_drifts(connection, run_id), now=now)
    audit.append(connection, by.act("reconcile.cancel", run_id, project_id=run.project_id, reason=reason), now)
    return _found(runs.find_run(connection, run_id), run_id)


def run_not_found(run_id: str) -> Refused:
    return Refused("run_not_found", f"there is no run {run_id}: list the runs for its id")


def _at_work(connection: Connection) -> Refused:
    other = runs.run_at_work(connection)
    named = f"{other.id} is {other.status}" if other else "another run is at work"
    extra = {"run_id": other.id} if other else {}
    return Refused("run_open", f"{named}: wait for it, approve it or cancel it", extra=extra)


def _found(run: Run | None, run_id: str) -> Run:
    if run is None:
        raise run_not_found(run_id)
    return run
