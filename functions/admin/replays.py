"""Events of the inbox settled once more, one or many; and the dead letters, sent back to the worker."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, bad_cursor, cursor_of, read_cursor
from billing.http.schemas import Body, Instant, Reason
from billing.messages.queue import depth_of
from billing.store.inbox import Status
from billing.store.replays import Place, Replayable, Wanted
from billing.usecases.apply_event import Worker
from billing.usecases.once import Finished, once
from billing.usecases.redrive_events import Queues, redrive_events
from billing.usecases.replay_event import Batch, Order, Replayed, publish_events, replay_event, replay_events
from functions.admin.desk import Call, Desk, Routes, answered

EVENTS = "/api/v1/admin/events"
EventType = Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,100}$")]

_BIGINT = 2**63
_Many = Annotated[int, Field(ge=1, le=100)]


class ReplayBody(Body):
    reason: Reason


class ReplayAnswer(BaseModel):
    """`error`: it could not be replayed now, nothing changed; the code says why."""

    event_id: str
    status: Status
    reason: str | None
    previous_status: Status
    error: str | None = None


class ReplayManyBody(Body):
    """Taken in the order of Stripe's clock; `cursor` is `next_cursor` of the answer before."""

    status: Replayable
    type: EventType | None = None
    received_from: Instant | None = None
    received_to: Instant | None = None
    limit: _Many = 20
    cursor: Annotated[str | None, Field(max_length=2000)] = None
    reason: Reason


class RedriveBody(Body):
    limit: _Many = 20
    reason: Reason


class RedriveAnswer(BaseModel):
    """Messages moved back to the worker's queue, and how many SQS estimates are left."""

    moved: int
    remaining_estimate: int


class DeadLetters(BaseModel):
    """Estimates of SQS: messages that wait for a redrive, and those being moved now."""

    waiting_estimate: int
    in_flight_estimate: int


REPLAY = Operation(
    "POST",
    EVENTS + "/{event_id}/replay",
    "replayEvent",
    "Settle an event once more, from its stored body",
    ReplayAnswer,
    body=ReplayBody,
    problems=("event_not_found", "contended", "raced", "stripe_key_refused", "stripe_unavailable"),
    writes=True,
)
REPLAY_MANY = Operation(
    "POST",
    EVENTS + "/replay",
    "replayEvents",
    "Settle many events once more; stops in time, and says where to go on",
    Page[ReplayAnswer],
    body=ReplayManyBody,
    writes=True,
)
DEAD_LETTERS = Operation(
    "GET", EVENTS + "/dead-letters", "countDeadLetters", "Messages the worker gave up", DeadLetters
)
REDRIVE = Operation(
    "POST",
    EVENTS + "/redrive",
    "redriveEvents",
    "Send dead letters back to the worker",
    RedriveAnswer,
    body=RedriveBody,
    writes=True,
)


def _worker(desk: Desk) -> Worker:
    return Worker(desk.stripe(), desk.publisher, desk.livemode, desk.now)


def _replay(desk: Desk, call: Call) -> Response:
    event_id, reason = call.asked.path["event_id"], of(ReplayBody, call.asked.body).reason
    worker = _worker(desk)

    def work() -> Finished:
        done = replay_event(worker, event_id, Order(call.operator, reason))
        return Finished(REPLAY.status, _told(done).model_dump_json())

    outcome = once(desk.database_url, call.once(), work)
    publish_events(worker, [event_id])
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


def _replay_many(desk: Desk, call: Call) -> Response:
    body = of(ReplayManyBody, call.asked.body)
    wanted = Wanted(body.status, body.type, body.received_from, body.received_to)
    worker, after = _worker(desk), _from(body.cursor)
    broken: list[Exception] = []

    def work() -> Finished:
        batch = replay_events(
            worker, wanted, Order(call.operator, body.reason), after=after, limit=body.limit, left=call.left
        )
        broken.extend(one.fault for one in batch.replayed if one.fault is not None)
        return Finished(REPLAY_MANY.status, _batch(batch).model_dump_json())

    outcome = once(desk.database_url, call.once(), work)
    told = Page[ReplayAnswer].model_validate_json(outcome.body)
    publish_events(worker, [one.event_id for one in told.data])
    response = answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)
    return response._replace(error=ExceptionGroup("events that broke their replay", broken) if broken else None)


def _from(cursor: str | None) -> Place | None:
    after = read_cursor(cursor, int, str, pointer="/cursor")
    if after is None:
        return None
    if not 0 <= after[0] < _BIGINT:
        raise bad_cursor("/cursor")
    return Place(*after)


def _batch(batch: Batch) -> Page[ReplayAnswer]:
    going_on = batch.last if batch.has_more else None
    cursor = None if going_on is None else cursor_of((going_on.created, going_on.event_id))
    return Page[ReplayAnswer](data=[_told(one) for one in batch.replayed], has_more=batch.has_more, next_cursor=cursor)


def _told(done: Replayed) -> ReplayAnswer:
    return ReplayAnswer.model_validate(done, from_attributes=True)


def _dead_letters(desk: Desk, call: Call) -> Response:
    depth = depth_of(desk.sqs, desk.dead_letter_queue_url)
    return answered(call, DeadLetters(waiting_estimate=depth.waiting, in_flight_estimate=depth.in_flight))


def _redrive(desk: Desk, call: Call) -> Response:
    body = of(RedriveBody, call.asked.body)
    queues = Queues(desk.sqs, desk.queue_url, desk.dead_letter_queue_url)

    def work() -> Finished:
        done = redrive_events(
            desk.database_url, queues, call.operator, body.reason, desk.now(), limit=body.limit, left=call.left
        )
        told = RedriveAnswer(moved=done.moved, remaining_estimate=done.remaining)
        return Finished(REDRIVE.status, told.model_dump_json())

    outcome = once(desk.database_url, call.once(), work)
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


ROUTES: Routes = (
    (DEAD_LETTERS, _dead_letters),
    (REPLAY_MANY, _replay_many),
    (REDRIVE, _redrive),
    (REPLAY, _replay),
)
