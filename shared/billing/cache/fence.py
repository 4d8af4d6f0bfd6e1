"""A fence before a snapshot: raised by whoever is about to take something away, for the case that publishing fails.

Behind it no reader sees an item it could answer with, so each asks PostgreSQL, which knows the change from its commit
on. A put that has the change lowers it. A put without it lowers it only if its state was read after the fence's end:
by then the change was committed, and that state has it, or it was given up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.cache.client import Client, raise_fence
from billing.cache.item import FENCED, milliseconds, snapshot_pk
from billing.domain import keys
from billing.errors import Transient

PATIENCE = 5.0
"""Seconds for all the fences of one write: locks are held meanwhile."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """One project's snapshot of a user; `change` numbers the customer's change that it is to wait for."""

    project_id: str
    user_id: str
    change: int


def raise_fences(client: Client, snapshots: Iterable[Fenced], until: datetime) -> None:
    """Raise all of them, or Transient: those raised until then cost readers a question to PostgreSQL, no more."""
    deadline = time.monotonic() + PATIENCE
    for one in snapshots:
        left = min(deadline - time.monotonic(), client.write_timeout)
        pk = snapshot_pk(keys.tag(one.project_id), one.user_id)
        if left <= 0 or not raise_fence(client, pk, FENCED, one.change, milliseconds(until), left):
            raise Transient("unavailable", "The cache took too long, or has a later fence. Try again.")
