"""Customers, one per (namespace, user_id), and the Stripe customers that have been theirs: at most one that lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row, scalar_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Customer:
    """`stripe_id` is its living Stripe customer, None before the first or after a deletion.

    `generation` counts the Stripe customers it had before: 0 until one is deleted.
    """

    id: int
    stripe_id: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class StripeCustomer:
    """A Stripe customer and whose it is. `watermark` is Stripe's clock in seconds; `revision` grows with each write."""

    id: str
    customer_id: int
    deleted_at: datetime | None
    watermark: int
    revision: int


_CREATE = """
INSERT INTO customers (namespace, user_id) VALUES (%s, %s) ON CONFLICT (namespace, user_id) DO NOTHING
"""
_FIND = """
SELECT customers.id,
  (SELECT id FROM stripe_customers WHERE customer_id = customers.id AND deleted_at IS NULL) AS stripe_id,
  (SELECT count(*) FROM stripe_customers WHERE customer_id = customers.id AND deleted_at IS NOT NULL) AS generation
FROM customers WHERE namespace = %s AND user_id = %s
"""


def find(connection: Connection, namespace: str, user_id: str) -> Customer | None:
    with connection.cursor(row_factory=class_row(Customer)) as cursor:
        return cursor.execute(_FIND, (namespace, user_id)).fetchone()


def ensure(connection: Connection, namespace: str, user_id: str) -> Customer:
    """The customer's row, made where there was none; however many calls race, there is one."""
    known = find(connection, namespace, user_id)
    if known is not None:
        return known
    connection.execute(_CREATE, (namespace, user_id))
    made = find(connection, namespace, user_id)
    if made is None:
        raise LookupError(f"customer of namespace {namespace!r} vanished: customers rows are never deleted")
    return made


_LOCK = "SELECT id FROM customers WHERE id = %s FOR UPDATE"


def lock(connection: Connection, customer_id: int) -> None:
    """Takes the customer's row lock until the transaction ends: all changes to what a customer holds are behind it."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        if cursor.execute(_LOCK, (customer_id,)).fetchone() is None:
            raise LookupError(f"no customer {customer_id}: customers rows are never deleted")


_FIND_BY_STRIPE_ID = """
SELECT id, customer_id, deleted_at, watermark, revision FROM stripe_customers WHERE id = %s
"""


def find_by_stripe_id(connection: Connection, stripe_id: str) -> StripeCustomer | None:
    with connection.cursor(row_factory=class_row(StripeCustomer)) as cursor:
        return cursor.execute(_FIND_BY_STRIPE_ID, (stripe_id,)).fetchone()


_LINK = """
INSERT INTO stripe_customers (id, customer_id)
SELECT %(stripe_id)s, %(customer_id)s
WHERE NOT EXISTS (SELECT FROM stripe_customers WHERE customer_id = %(customer_id)s AND deleted_at IS NULL)
ON CONFLICT DO NOTHING
"""
_LIVING = "SELECT id FROM stripe_customers WHERE customer_id = %s AND deleted_at IS NULL"


def link(connection: Connection, customer_id: int, stripe_id: str) -> str | None:
    """Makes `stripe_id` the customer's living Stripe customer, unless it has one; answers the living one.

    Call it under the customer's row lock (`lock`). None: this Stripe customer is known, and deleted or another's.
    """
    connection.execute(_LINK, {"stripe_id": stripe_id, "customer_id": customer_id})
    with connection.cursor(row_factory=scalar_row) as cursor:
        living: str | None = cursor.execute(_LIVING, (customer_id,)).fetchone()
    return living


def adopt(connection: Connection, namespace: str, user_id: str, stripe_id: str) -> bool:
    """Links a Stripe customer that names its user, whoever got as far as making it; False where the user has another.

    For a crash between Stripe's answer and our commit. Takes the customer's row lock.
    """
    customer = ensure(connection, namespace, user_id)
    lock(connection, customer.id)
    return link(connection, customer.id, stripe_id) == stripe_id


_MARK_DELETED = """
UPDATE stripe_customers SET deleted_at = LEAST(deleted_at, %s), revision = revision + 1
WHERE id = %s AND (deleted_at IS NULL OR deleted_at > %s)
"""


def mark_deleted(connection: Connection, stripe_id: str, at: datetime) -> None:
    """Stripe has no such customer since `at`, so the next checkout makes another; the earliest instant told stays."""
    connection.execute(_MARK_DELETED, (at, stripe_id, at))
