"""Applies a checkout's outcome now, for the page the user comes back to: the same result as by its events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from billing.errors import Permanent, Refused
from billing.store import checkouts
from billing.store.connection import transaction
from billing.store.snapshots import snapshots_of_customer
from billing.usecases.apply_event import Worker, apply_checkout_now

_SESSION = re.compile(r"cs_[A-Za-z0-9_]{1,250}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Synced:
    """`status` is Stripe's word; `paid` also where nothing was to be paid.

    Every later answer about the user is of `entitlements_version` or newer.
    """

    session_id: str
    status: Literal["open", "complete", "expired"]
    paid: bool
    entitlements_version: int


def sync_checkout(worker: Worker, project_id: str, session_id: str) -> Synced:
    """Applied and published when it returns. Safe to repeat, and to race the webhook.

    Raises Refused (`session_not_found`, for another project's alike), Transient, Permanent.
    """
    with transaction(worker.database_url) as connection:
        known = checkouts.find(connection, project_id, session_id) if _SESSION.fullmatch(session_id) else None
    if known is None:
        raise _unknown()
    try:
        fact = apply_checkout_now(worker, session_id)
    except Permanent as fault:
        if fault.code == "gone_from_stripe":
            raise _unknown() from fault
        raise
    with transaction(worker.database_url) as connection:
        snapshots = snapshots_of_customer(connection, known.customer_id)
    version = next(snapshot.version for snapshot in snapshots if snapshot.project_id == project_id)
    return Synced(session_id, fact.status, fact.paid, version)


def _unknown() -> Refused:
    return Refused("session_not_found", "This project opened no such checkout session.")
