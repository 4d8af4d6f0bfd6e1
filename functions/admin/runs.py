"""Runs of the reconciliation: started, watched, read as a report, approved or canceled."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import datetime

from billing.domain.windows import parse_rfc3339, rfc3339
from billing.errors import Transient
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, bad_cursor, page, place
from billing.store import run_lists
from billing.store.budget import FETCHES_PER_SECOND
from billing.store.connection import Connection, transaction
from billing.store.drifts import count_drifts, count_losers
from billing.store.runs import Run, find_run
from billing.usecases.apply_event import Worker
from billing.usecases.manage_runs import Wanted, approve_run, cancel_run, open_run, run_not_found
from billing.usecases.once import transact
from billing.usecases.reconcile import Driver, work
from billing.usecases.reconcile_passes import PASSES
from functions.admin.desk import Call, Desk, Routes, answered
from functions.admin.run_bodies import (
    DriftAnswer,
    DriftsQuery,
    ReconcileBody,
    RunAnswer,
    RunDecision,
    RunDetail,
    RunsQuery,
    members_of,
)
from functions.admin.run_report import MEDIA_TYPE, MOST_DRIFTS, report

RUNS = "/api/v1/admin/reconcile/runs"
ONE = RUNS + "/{run_id}"

AT_ONCE = 5.0
"""Seconds of a run that are worked off before the answer: a small one is then done already."""

RESERVE = 10.0
"""Seconds of the invocation that no such work may use: one step may wait for Stripe."""

START = Operation(
    "POST",
    "/api/v1/admin/reconcile",
    "startRun",
    "Compare Stripe, the store and the cache, and repair what differs",
    RunAnswer,
    status=202,
    body=ReconcileBody,
    problems=("run_open", "project_not_found"),
    writes=True,
)
LIST = Operation("GET", RUNS, "listRuns", "The runs, newest first", Page[RunAnswer], query=RunsQuery)
READ = Operation("GET", ONE, "readRun", "One run, how far it is", RunDetail, problems=("run_not_found",))
DRIFTS = Operation(
    "GET",
    ONE + "/drifts",
    "listDrifts",
    "What a run found, and what became of it",
    Page[DriftAnswer],
    query=DriftsQuery,
    problems=("run_not_found",),
)
REPORT = Operation(
    "GET",
    ONE + "/report",
    "readRunReport",
    "A run as a report for people, in Markdown",
    None,
    media_type="text/markdown",
    problems=("run_not_found",),
)
APPROVE = Operation(
    "POST",
    ONE + "/approve",
    "approveRun",
    "Let a waiting run take what it would take; it looks afresh first",
    RunAnswer,
    body=RunDecision,
    problems=("run_not_found", "run_not_waiting"),
    writes=True,
)
CANCEL = Operation(
    "POST",
    ONE + "/cancel",
    "cancelRun",
    "End a run; what it repaired stays",
    RunAnswer,
    body=RunDecision,
    problems=("run_not_found", "run_over"),
    writes=True,
)


def _start(desk: Desk, call: Call) -> Response:
    body = of(ReconcileBody, call.asked.body)
    wanted = Wanted(body.project_id, body.passes, body.dry_run, body.max_revocations)
    return _begin(desk, call, lambda connection: open_run(connection, wanted, call.operator, desk.now()))


def _approve(desk: Desk, call: Call) -> Response:
    run_id, reason = call.asked.path["run_id"], of(RunDecision, call.asked.body).reason
    return _begin(desk, call, lambda connection: approve_run(connection, run_id, call.operator, reason, desk.now()))


def _cancel(desk: Desk, call: Call) -> Response:
    run_id, reason = call.asked.path["run_id"], of(RunDecision, call.asked.body).reason
    return _decide(desk, call, lambda connection: cancel_run(connection, run_id, call.operator, reason, desk.now()))


def _decide(desk: Desk, call: Call, decide: Callable[[Connection], Run]) -> Response:
    def done(connection: Connection) -> tuple[int, str]:
        return call.operation.status, RunAnswer.of(decide(connection)).model_dump_json()

    outcome = transact(desk.database_url, call.once(), done)
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


def _begin(desk: Desk, call: Call, decide: Callable[[Connection], Run]) -> Response:
    """What begins here goes on by the minute's tick, whatever becomes of its first seconds: that is only logged."""
    response = _decide(desk, call, decide)
    faults: list[Exception] = []
    end = time.monotonic() + min(AT_ONCE, call.left() - RESERVE)
    driver = Driver(
        Worker(desk.stripe(), desk.publisher, desk.livemode, desk.now, FETCHES_PER_SECOND),
        PASSES,
        f"desk_{secrets.token_hex(8)}",
        lambda: end - time.monotonic(),
        lambda _run_id, _number, fault: faults.append(fault),
    )
    try:
        fault = work(driver).fault
        faults += [] if fault is None else [fault]
    except Transient as fault:
        faults.append(fault)
    return response._replace(error=ExceptionGroup("the run's first slice", faults) if faults else None)


def _list(desk: Desk, call: Call) -> Response:
    query = of(RunsQuery, call.asked.query)
    with transaction(desk.database_url) as connection:
        rows = run_lists.list_runs(connection, status=query.status, after=_after(query), limit=query.limit + 1)
    told = page(query, [RunAnswer.of(row) for row in rows], lambda row: (rfc3339(row.started_at), row.id))
    return answered(call, told)


def _after(query: PageQuery) -> tuple[datetime, str] | None:
    after = place(query, str, str)
    if after is None:
        return None
    try:
        return parse_rfc3339(after[0]), after[1]
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def _read(desk: Desk, call: Call) -> Response:
    with transaction(desk.database_url) as connection:
        return answered(call, _detail(connection, call.asked.path["run_id"]))


def _detail(connection: Connection, run_id: str) -> RunDetail:
    """With the drifts as they are now: the run's own counts are those of its end."""
    run = find_run(connection, run_id)
    if run is None:
        raise run_not_found(run_id)
    counts, losers = count_drifts(connection, run_id), count_losers(connection, run_id)
    return RunDetail(**members_of(run, counts), takes_from=losers)


def _drifts(desk: Desk, call: Call) -> Response:
    run_id, query = call.asked.path["run_id"], of(DriftsQuery, call.asked.query)
    after = place(query, int)
    wanted = run_lists.Wanted(query.kind, query.status, query.takes)
    with transaction(desk.database_url) as connection:
        if find_run(connection, run_id) is None:
            raise run_not_found(run_id)
        rows = run_lists.list_drifts(connection, run_id, wanted, after=_number(after), limit=query.limit + 1)
    told = page(query, [DriftAnswer.of(row) for row in rows], lambda row: (row.n,))
    return answered(call, told.model_dump_json(by_alias=True))


def _number(after: tuple[int, ...] | None) -> int:
    number = 0 if after is None else after[0]
    if not 0 <= number < 2**63:
        raise bad_cursor()
    return number


def _report(desk: Desk, call: Call) -> Response:
    with transaction(desk.database_url) as connection:
        run = _detail(connection, call.asked.path["run_id"])
        rows = run_lists.list_drifts(connection, run.id, limit=MOST_DRIFTS)
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}
    text = report(run, [DriftAnswer.of(row) for row in rows])
    return Response(REPORT.status, text, headers, {"key_id": call.admin.key_id})


ROUTES: Routes = (
    (START, _start),
    (LIST, _list),
    (READ, _read),
    (DRIFTS, _drifts),
    (REPORT, _report),
    (APPROVE, _approve),
    (CANCEL, _cancel),
)
