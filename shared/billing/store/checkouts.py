"""Checkout sessions this service opened: whose they are. What came of them is the events' business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from billing.store.connection import Connection

Mode = Literal["payment", "subscription"]


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """A Stripe `checkout.session` of ours; `customer_id` is our customer's."""

    id: str
    project_id: str
    customer_id: int
    mode: Mode
    status: str
    expires_at: datetime


_RECORD = """
INSERT INTO checkout_sessions (id, project_id, customer_id, mode, status, expires_at)
VALUES (%(id)s, %(project_id)s, %(customer_id)s, %(mode)s, %(status)s, %(expires_at)s)
ON CONFLICT (id) DO NOTHING
"""


def record(connection: Connection, session: CheckoutSession) -> None:
    """Remembers an opened session; a retry that got the same session from Stripe changes nothing."""
    connection.execute(
        _RECORD,
        {
            "id": session.id,
            "project_id": session.project_id,
            "customer_id": session.customer_id,
            "mode": session.mode,
            "status": session.status,
            "expires_at": session.expires_at,
        },
    )


_FIND = """
SELECT id, project_id, customer_id, mode, status, expires_at FROM checkout_sessions WHERE id = %s AND project_id = %s
"""


def find(connection: Connection, project_id: str, session_id: str) -> CheckoutSession | None:
    """The project's own session of that id; another project's is as unknown as one that never was."""
    with connection.cursor(row_factory=class_row(CheckoutSession)) as cursor:
        return cursor.execute(_FIND, (session_id, project_id)).fetchone()


_CLOSE = "UPDATE checkout_sessions SET status = %s WHERE id = %s AND status = 'open'"


def close_session(connection: Connection, session_id: str, status: Literal["complete", "expired"]) -> None:
    """How the session ended; a session ends once. One opened elsewhere has no row and is left alone."""
    connection.execute(_CLOSE, (status, session_id))
