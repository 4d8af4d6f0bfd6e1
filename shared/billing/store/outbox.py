"""What commits still owe to the cache: deleted only once it is paid."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from billing.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Debt:
    """One row: a customer whose snapshots, or a project whose key records, must be published."""

    id: int
    customer_id: int | None
    project_id: str | None
    cause_kind: str
    cause_id: str

    @property
    def cause(self) -> tuple[str, str]:
        return self.cause_kind, self.cause_id


_COLUMNS = "SELECT id, customer_id, project_id, cause_kind, cause_id FROM outbox "
_OF_CUSTOMER = _COLUMNS + "WHERE customer_id = %s ORDER BY id"
_OF_PROJECT = _COLUMNS + "WHERE project_id = %s ORDER BY id"
_OLDEST = _COLUMNS + "ORDER BY id LIMIT %s"
_PAID = "DELETE FROM outbox WHERE id = ANY(%s)"
_OWE_PROJECT = "INSERT INTO outbox (project_id, cause_kind, cause_id) VALUES (%s, %s, %s)"


def debts_of_customer(connection: Connection, customer_id: int) -> list[Debt]:
    with connection.cursor(row_factory=class_row(Debt)) as cursor:
        return cursor.execute(_OF_CUSTOMER, (customer_id,)).fetchall()


def debts_of_project(connection: Connection, project_id: str) -> list[Debt]:
    with connection.cursor(row_factory=class_row(Debt)) as cursor:
        return cursor.execute(_OF_PROJECT, (project_id,)).fetchall()


def oldest_debts(connection: Connection, limit: int) -> list[Debt]:
    with connection.cursor(row_factory=class_row(Debt)) as cursor:
        return cursor.execute(_OLDEST, (limit,)).fetchall()


def paid(connection: Connection, debts: list[Debt]) -> None:
    """These are in the cache now. Rows must have been read *before* the state that was published."""
    connection.execute(_PAID, ([debt.id for debt in debts],))


def owe_project(connection: Connection, project_id: str, *, cause_kind: str, cause_id: str) -> None:
    connection.execute(_OWE_PROJECT, (project_id, cause_kind, cause_id))
