"""The payments that count and that no list shows: the last one of a subscription whose grace it ends, or which makes
good a dispute that was lost.

Lists of paid invoices grow with the account's age. So they are asked for one by one, where it matters: of whoever has
several invoices open, or had a dispute lost and has paid nothing since as far as the store knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from billing.payments.mirrored import last_payment
from billing.store import mirrors
from billing.store.connection import Connection, transaction
from billing.store.mirrors import Staged
from billing.usecases.passes import Batch, Means

KIND = "invoice"
"""Staged beside the open ones, and compared with them."""

AT_ONCE = 25
"""Subscriptions asked for in a batch."""


def last_payments(means: Means, after: str) -> Iterator[tuple[Batch, str]]:
    """Batches that stage them, each with the last subscription it asked for; its `position` is the caller's to say.

    The lists of subscriptions, open invoices and disputes are staged by then. Raises Transient, Permanent.
    """
    while True:
        with transaction(means.worker.database_url) as connection:
            payers = mirrors.payers(connection, means.run_id, after=after, width=AT_ONCE)
        if not payers:
            return
        after = payers[-1]
        yield _asked(means, payers), after


def _asked(means: Means, payers: list[str]) -> Batch:
    rows: list[Staged] = []
    for subscription_id in payers:
        means.spend()
        found, at = last_payment(means.worker.stripe, subscription_id)
        if found is not None and found.state is not None:
            rows.append(Staged(found.id, at, {**found.state, "created": found.created}))

    def stage(connection: Connection) -> None:
        mirrors.stage(connection, means.run_id, KIND, rows)

    said = hashlib.sha256("".join(row.id for row in rows).encode()).digest()
    return Batch({}, len(rows), (said,), stage, (), done=False)
