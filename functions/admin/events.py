"""The inbox: Stripe's events, listed and looked into, with everything redacted that could tell of a person."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from billing.domain.redaction import payload_of
from billing.domain.windows import from_seconds, parse_rfc3339, rfc3339
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, bad_cursor, page, place
from billing.http.schemas import Instant, StripeId
from billing.store import inbox_list
from billing.store.connection import transaction
from billing.store.inbox import Status
from billing.usecases.replay_event import no_event
from functions.admin.desk import Call, Desk, Routes, answered
from functions.admin.replays import EVENTS, EventType

ObjectId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")]


class EventsQuery(PageQuery):
    """`customer`: a Stripe customer's id. The window of their arrival is half-open."""

    status: Status | None = None
    type: EventType | None = None
    object_id: ObjectId | None = None
    customer: StripeId | None = None
    received_from: Instant | None = None
    received_to: Instant | None = None


class EventRow(BaseModel):
    """An event less its body, which has `size` bytes. `created` is Stripe's clock."""

    event_id: str
    type: str
    status: Status
    reason: str | None
    created: Instant | None
    object_id: str | None
    received_at: Instant
    settled_at: Instant
    size: int


class Touched(BaseModel):
    """A customer whose holdings the event may have changed."""

    namespace: str
    user_id: str


class EventAnswer(EventRow):
    """`payload`: the body with everything redacted that could tell of a person; null where it is no JSON object."""

    customers: list[Touched]
    sha256: str
    payload: dict[str, Any] | None


LIST = Operation("GET", EVENTS, "listEvents", "Stripe's events, newest first", Page[EventRow], query=EventsQuery)
READ = Operation(
    "GET",
    EVENTS + "/{event_id}",
    "readEvent",
    "One event with its redacted payload",
    EventAnswer,
    problems=("event_not_found",),
)


def _list(desk: Desk, call: Call) -> Response:
    query = of(EventsQuery, call.asked.query)
    names = inbox_list.Wanted.__dataclass_fields__
    wanted = inbox_list.Wanted(**{name: getattr(query, name) for name in names})
    with transaction(desk.database_url) as connection:
        rows = inbox_list.list_events(connection, wanted, after=_after(query), limit=query.limit + 1)
    return answered(call, page(query, [EventRow(**_members(row)) for row in rows], _key))


def _after(query: PageQuery) -> tuple[datetime, str] | None:
    after = place(query, str, str)
    if after is None:
        return None
    try:
        return parse_rfc3339(after[0]), after[1]
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def _key(row: EventRow) -> tuple[str, str]:
    return rfc3339(row.received_at), row.event_id


def _members(row: inbox_list.Row) -> dict[str, Any]:
    members = {name: getattr(row, name) for name in inbox_list.Row.__dataclass_fields__}
    return {**members, "created": None if row.created is None else from_seconds(row.created)}


def _read(desk: Desk, call: Call) -> Response:
    event_id = call.asked.path["event_id"]
    with transaction(desk.database_url) as connection:
        kept = inbox_list.find_event(connection, event_id)
    if kept is None:
        raise no_event(event_id)
    payload = payload_of(kept.body)
    customers = [Touched(namespace=namespace, user_id=user_id) for namespace, user_id in kept.customers]
    members = {**_members(kept.row), "sha256": payload.sha256, "payload": payload.document}
    return answered(call, EventAnswer(**members, customers=customers))


ROUTES: Routes = ((LIST, _list), (READ, _read))
