"""The store built anew out of Stripe, a slice a request, until it is done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from billing.errors import Refused
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.schemas import Body, Instant
from billing.payments.history import STAGES, Stage
from billing.store.connection import Connection, transaction
from billing.store.rebuilds import Rebuild, latest_rebuild
from billing.usecases import rebuild_gate
from billing.usecases.apply_event import Worker
from billing.usecases.once import Finished, once, transact
from billing.usecases.operator import Operator
from billing.usecases.rebuild_store import begin, rebuild_slice
from functions.admin.desk import Call, Desk, Routes, answered
from functions.admin.run_bodies import RunDecision

REBUILD = "/api/v1/admin/rebuild"

REQUESTS_PER_SECOND = 10
"""To Stripe, of its common budget: users go through checkouts meanwhile."""


class RebuildBody(Body):
    into_nonempty: Annotated[
        bool, Field(description="Though the store knows of sales: what it lacks is added, refunds and disputes too")
    ] = False
    max_revocations: Annotated[
        int | None,
        Field(ge=0, le=1_000_000_000, description="Customers it may take something from unasked; absent: 1 %, or 10"),
    ] = None


class LeftOut(BaseModel):
    """An object of Stripe's that was not taken, and why. Mend that, then rebuild once more."""

    stage: Stage
    id: str
    code: str
    detail: str


class RebuildAnswer(BaseModel):
    """How far it got. `open`: send the request again, with a new Idempotency-Key. `waiting`: it would take access from
    `takes_from` customers, more than it may; approve or cancel it. `counts`, by stage: `taken`, `known` (the store had
    it), `foreign` (not of this service), `passed_over` (without bearing on access), `left_out` and `held_back` (would
    take), of which the first 100 are named. `step`: it goes through all lists to give, then again to take.
    """

    id: str
    status: Literal["open", "waiting", "done", "canceled"]
    step: Literal["give", "take"]
    takes_from: int
    max_revocations: int | None
    approved_takes: int | None
    approved_by: str | None
    approved_at: Instant | None
    stage: Stage
    stages: tuple[Stage, ...] = STAGES
    counts: dict[str, dict[str, int]]
    left_out: list[LeftOut]
    actor: str
    started_at: Instant
    changed_at: Instant
    finished_at: Instant | None

    @classmethod
    def of(cls, rebuild: Rebuild) -> RebuildAnswer:
        told = {name: getattr(rebuild, name) for name in cls.model_fields if hasattr(rebuild, name)}
        return cls.model_validate({**told, "takes_from": len(rebuild.losers)})


START = Operation(
    "POST",
    REBUILD,
    "rebuildStore",
    "Build the store anew out of Stripe: go on with it for some seconds",
    RebuildAnswer,
    body=RebuildBody,
    problems=("store_not_empty", "raced", "stripe_key_refused", "stripe_unavailable"),
    writes=True,
)
READ = Operation(
    "GET", REBUILD, "readRebuild", "How far the latest rebuild got", RebuildAnswer, problems=("rebuild_not_found",)
)
APPROVE = Operation(
    "POST",
    REBUILD + "/approve",
    "approveRebuild",
    "Let a waiting rebuild take what it would take; go on with it then",
    RebuildAnswer,
    body=RunDecision,
    problems=("rebuild_not_waiting",),
    writes=True,
)
CANCEL = Operation(
    "POST",
    REBUILD + "/cancel",
    "cancelRebuild",
    "End a waiting rebuild; what it gave stays",
    RebuildAnswer,
    body=RunDecision,
    problems=("rebuild_not_waiting",),
    writes=True,
)


def _rebuild(desk: Desk, call: Call) -> Response:
    body = of(RebuildBody, call.asked.body)
    worker = Worker(desk.stripe(), desk.publisher, desk.livemode, desk.now, REQUESTS_PER_SECOND)
    broken: list[Exception] = []

    def work() -> Finished:
        at = begin(worker, call.operator, into_nonempty=body.into_nonempty, max_revocations=body.max_revocations)
        done = rebuild_slice(worker, at, call.operator, call.left)
        broken.extend(done.broken)
        return Finished(START.status, RebuildAnswer.of(done.rebuild).model_dump_json())

    outcome = once(desk.database_url, call.once(), work)
    response = answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)
    return response._replace(error=ExceptionGroup("objects that broke the rebuild", broken) if broken else None)


def _read(desk: Desk, call: Call) -> Response:
    with transaction(desk.database_url) as connection:
        latest = latest_rebuild(connection)
    if latest is None:
        raise Refused("rebuild_not_found", "This store was never rebuilt.")
    return answered(call, RebuildAnswer.of(latest))


def _approve(desk: Desk, call: Call) -> Response:
    return _decide(desk, call, rebuild_gate.approve)


def _cancel(desk: Desk, call: Call) -> Response:
    return _decide(desk, call, rebuild_gate.cancel)


def _decide(desk: Desk, call: Call, decide: Callable[[Connection, Operator, str, datetime], Rebuild]) -> Response:
    reason = of(RunDecision, call.asked.body).reason

    def done(connection: Connection) -> tuple[int, str]:
        decided = decide(connection, call.operator, reason, desk.now())
        return call.operation.status, RebuildAnswer.of(decided).model_dump_json()

    outcome = transact(desk.database_url, call.once(), done)
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


ROUTES: Routes = ((START, _rebuild), (READ, _read), (APPROVE, _approve), (CANCEL, _cancel))
