"""After the burst: everything that was sent must be there, once, everywhere."""

from collections.abc import Iterator
from datetime import UTC, datetime

from billing.cache import entitlements as cached
from billing.cache.client import Client
from billing.cache.item import SnapshotItem
from billing.domain import keys
from billing.store.connection import Connection
from billing.store.snapshots import snapshot_of
from tests.bench.burst_events import Burst

_QUANTITIES = """
SELECT (held ->> 'quantity')::bigint FROM customers, jsonb_array_elements(holdings) AS held
WHERE namespace = 'notes' AND user_id = %s
"""


def faults(connection: Connection, cache: Client, burst: Burst, messages_left: dict[str, int]) -> list[str]:
    """What was lost or is wrong, in words; nothing if all is well."""
    return [
        *_inbox(connection, burst),
        *(fault for customer in burst.quantities for fault in _customer(connection, cache, burst, customer)),
        *(f"{count} messages are left in the {queue}" for queue, count in messages_left.items() if count),
        *_outbox(connection),
    ]


def _inbox(connection: Connection, burst: Burst) -> Iterator[str]:
    rows = connection.execute("SELECT event_id, status, reason FROM inbox").fetchall()
    known = {event_id for event_id, _, _ in rows}
    if known != burst.event_ids:
        lost, strange = len(burst.event_ids - known), len(known - burst.event_ids)
        yield f"the inbox lacks {lost} events and has {strange} that nobody sent"
    for event_id, status, reason in rows:
        if status not in {"applied", "superseded"}:
            yield f"{event_id} is {status}: {reason}"


def _outbox(connection: Connection) -> Iterator[str]:
    [debts] = connection.execute("SELECT count(*) FROM outbox").fetchone() or [0]
    if debts:
        yield f"{debts} debts are left in the outbox"


def _customer(connection: Connection, cache: Client, burst: Burst, number: int) -> Iterator[str]:
    """The store has the last state that was sent, and the cache has what the store has."""
    snapshot = snapshot_of(connection, "notes", str(number))
    if snapshot is None:
        yield f"the store has no project for customer {number}"
        return
    quantities = [row[0] for row in connection.execute(_QUANTITIES, (str(number),))]
    if quantities != [burst.quantities[number]]:
        yield f"customer {number} holds {quantities}, not {burst.quantities[number]}"
    item = cached.read_snapshot(cache, keys.tag("notes"), str(number))
    if item is None:
        yield f"customer {number} is not in the cache"
        return
    if item != SnapshotItem.of(snapshot, datetime.now(UTC))._replace(fresh_until=item.fresh_until):
        yield f"customer {number} differs: in the cache version {item.version}, in the store {snapshot.version}"
