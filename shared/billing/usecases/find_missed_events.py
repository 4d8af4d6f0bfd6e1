"""The pass `events`: what Stripe told in the last 30 days and the inbox does not have, found by id.

Whether a delivery succeeded says nothing: an acknowledged one may have been lost on our side since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billing.payments.client import Rejected
from billing.payments.events import READERS
from billing.payments.members import Members
from billing.payments.objects import Page, page
from billing.store import inbox, mirrors
from billing.store.connection import Connection, transaction
from billing.usecases.passes import Batch, Batches, Drift, Json, Means, nothing

KIND = "event"


@dataclass(frozen=True, slots=True)
class _Told:
    """An event of the list that this service acts on, and what it is about."""

    id: str
    type: str
    created: int
    object_id: str | None
    customer: str | None
    product: str | None
    raw: dict[str, Any]


def find_missed_events(means: Means, position: Json) -> Batches:
    """A batch a page, newest first: the cursor is an id, so events that come meanwhile shift nothing.

    Those of the run's own time (`cut` or later) are on their way here and left alone. Raises Transient, Permanent.
    """
    after: str | None = position.get("after")
    while True:
        found = _page(means, after)
        if found is None:
            yield Batch({"after": after}, 0, (), nothing, (), done=True)
            return
        told = [event for event in map(_told, found.rows) if event is not None]
        missed = _missed(means, told)
        digest = hashlib.sha256(json.dumps([row.raw["id"] for row in found.rows]).encode()).digest()
        drifts = tuple(_drift(event) for event in missed)
        stage = _stager(means.run_id, missed, found.at)
        yield Batch({"after": found.last or after}, len(found.rows), (digest,), stage, drifts, done=found.last is None)
        if found.last is None:
            return
        after = found.last


def _page(means: Means, after: str | None) -> Page | None:
    """None: the event to go on after is older than 30 days by now, and so are those behind it."""
    means.spend()
    created = {"lt": int(means.cut.timestamp())}
    try:
        return page(means.worker.stripe, "/v1/events", {"created": created}, after)
    except Rejected as refusal:
        if after is None or not refusal.missing("starting_after"):
            raise
        return None


def _told(row: Members) -> _Told | None:
    kind = row.text("type")
    if kind not in READERS:
        return None
    about = row.inner("data").inner("object")
    known_by = about.text_or_none("object")
    object_id = about.reference_or_none("id")
    return _Told(
        id=row.reference("id"),
        type=kind,
        created=row.whole("created"),
        object_id=object_id,
        customer=object_id if known_by == "customer" else about.reference_or_none("customer"),
        product=object_id if known_by == "product" else about.reference_or_none("product"),
        raw=row.raw,
    )


def _missed(means: Means, told: Sequence[_Told]) -> list[_Told]:
    with transaction(means.worker.database_url) as connection:
        unknown = inbox.unknown_events(connection, [event.id for event in told])
        missed = [event for event in told if event.id in unknown]
        if means.project_id is None or not missed:
            return missed
        named = {event.customer for event in missed} | {event.product for event in missed}
        ours = mirrors.ids_of_project(connection, means.project_id, sorted(filter(None, named)))
    return [event for event in missed if ours & {event.customer, event.product}]


def _drift(event: _Told) -> Drift:
    after = {"type": event.type, "created": event.created, "object": event.object_id}
    return Drift("missing_local", KIND, event.id, {}, after)


def _stager(run_id: str, missed: Sequence[_Told], at: int) -> Any:
    """Bodies of missed events, so that none has to be asked for once more."""
    rows = [mirrors.Staged(event.id, at, {"body": json.dumps(event.raw)}) for event in missed]

    def stage(connection: Connection) -> None:
        mirrors.stage(connection, run_id, KIND, rows)

    return stage
