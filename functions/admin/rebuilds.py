"""The store built anew out of Stripe, a slice a request, until it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from billing.errors import Refused
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.schemas import Body, Instant
from billing.payments.history import STAGES, Stage
from billing.store.connection import transaction
from billing.store.rebuilds import latest_rebuild
from billing.usecases.apply_event import Worker
from billing.usecases.once import Finished, once
from billing.usecases.rebuild_store import begin, rebuild_slice
from functions.admin.desk import Call, Desk, Routes, answered

REBUILD = "/api/v1/admin/rebuild"

REQUESTS_PER_SECOND = 10
"""To Stripe, of its common budget: users go through checkouts meanwhile."""


class RebuildBody(Body):
    into_nonempty: Annotated[
        bool, Field(description="Though the store knows of sales: what it lacks is added, refunds and disputes too")
    ] = False


class LeftOut(BaseModel):
    """An object of Stripe's that was not taken, and why. Mend that, then rebuild once more."""

    stage: Stage
    id: str
    code: str
    detail: str


class RebuildAnswer(BaseModel):
    """How far it got. `open`: send the request again, with a new Idempotency-Key. `counts`, by stage: `taken`, `known`
    (the store had it), `foreign` (not of this service), `passed_over` (without bearing on access), `left_out`, of which
    the first 100 are named.
    """

    id: str
    status: Literal["open", "done"]
    stage: Stage
    stages: tuple[Stage, ...] = STAGES
    counts: dict[str, dict[str, int]]
    left_out: list[LeftOut]
    actor: str
    started_at: Instant
    changed_at: Instant
    finished_at: Instant | None


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


def _rebuild(desk: Desk, call: Call) -> Response:
    body = of(RebuildBody, call.asked.body)
    worker = Worker(desk.stripe(), desk.publisher, desk.livemode, desk.now, REQUESTS_PER_SECOND)
    broken: list[Exception] = []

    def work() -> Finished:
        at = begin(worker, call.operator, into_nonempty=body.into_nonempty)
        done = rebuild_slice(worker, at, call.operator, call.left)
        broken.extend(done.broken)
        told = RebuildAnswer.model_validate(done.rebuild, from_attributes=True)
        return Finished(START.status, told.model_dump_json())

    outcome = once(desk.database_url, call.once(), work)
    response = answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)
    return replace(response, error=ExceptionGroup("objects that broke the rebuild", broken) if broken else None)


def _read(desk: Desk, call: Call) -> Response:
    with transaction(desk.database_url) as connection:
        latest = latest_rebuild(connection)
    if latest is None:
        raise Refused("rebuild_not_found", "This store was never rebuilt.")
    return answered(call, RebuildAnswer.model_validate(latest, from_attributes=True))


ROUTES: Routes = ((START, _rebuild), (READ, _read))
