"""A write that a client may send again: under one Idempotency-Key it happens once, and every retry gets its answer.

The outcome is committed with the work. What is refused or fails gives the key back. A holder that died keeps it for
`LEASE`; then a retry takes it over, and what it asks of Stripe carries the same derived key as before.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from billing.errors import Refused, Transient
from billing.store import idempotency
from billing.store.connection import Connection, transaction
from billing.store.idempotency import KeyScope

LEASE = timedelta(seconds=45)
"""Longer than a request can live behind API Gateway (30 s)."""

_RETRY_AFTER = 2
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Request:
    """A write as its client sent it. Without a key each one is a request of its own."""

    project_id: str
    route: str
    key: str | None
    body_digest: bytes

    @property
    def seed(self) -> str:
        """What keys for Stripe derive from: the client's own key, else something nobody will say again."""
        return self.key if self.key is not None else secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer (HTTP status, JSON body), and the rows that go with it, written in the transaction that stores it."""

    status: int
    body: str
    record: Callable[[Connection], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    body: str
    replayed: bool = False


def once(database_url: str, request: Request, work: Callable[[], Finished], lease: timedelta = LEASE) -> Outcome:
    """Does the work, or answers what it came to before. No database connection is held while it works.

    Raises Refused (`idempotency_mismatch`), Transient (`in_flight`), and whatever the work raises.
    """
    if request.key is None:
        finished = work()
        with transaction(database_url) as connection:
            finished.record(connection)
        return Outcome(finished.status, finished.body)
    scope = KeyScope(request.project_id, request.route, request.key)
    holder = secrets.token_hex(16)
    before = _claim(database_url, scope, request.body_digest, holder, lease)
    return before if before is not None else _hold(database_url, scope, holder, work)


def transact(database_url: str, request: Request, work: Callable[[Connection], tuple[int, str]]) -> Outcome:
    """Does work that is all in the store, in one transaction with its key; a twin waits for it and gets its answer.

    Publish what the outbox owes after it, replayed or not. Raises as `once`.
    """
    with transaction(database_url) as connection:
        if request.key is None:
            return Outcome(*work(connection))
        scope = KeyScope(request.project_id, request.route, request.key)
        holder = secrets.token_hex(16)
        before = _taken(connection, scope, request.body_digest, holder, LEASE)
        if before is not None:
            return before
        status, body = work(connection)
        idempotency.settle(connection, scope, holder, status, body)
        return Outcome(status, body)


def _hold(database_url: str, scope: KeyScope, holder: str, work: Callable[[], Finished]) -> Outcome:
    try:
        finished = work()
        with transaction(database_url) as connection:
            _finish(connection, scope, holder, finished)
    except Exception:
        # After a COMMIT whose answer was lost this finds nothing to release, and the retry gets the stored outcome.
        with transaction(database_url) as connection:
            idempotency.release(connection, scope, holder)
        raise
    return Outcome(finished.status, finished.body)


def _finish(connection: Connection, scope: KeyScope, holder: str, finished: Finished) -> None:
    """The work's rows and its outcome, or neither: whoever took the key over meanwhile answers for it now."""
    finished.record(connection)
    if not idempotency.settle(connection, scope, holder, finished.status, finished.body):
        raise _in_flight()


def _claim(database_url: str, scope: KeyScope, body_digest: bytes, holder: str, lease: timedelta) -> Outcome | None:
    """None: the key is ours."""
    with transaction(database_url) as connection:
        return _taken(connection, scope, body_digest, holder, lease)


def _taken(
    connection: Connection, scope: KeyScope, body_digest: bytes, holder: str, lease: timedelta
) -> Outcome | None:
    for _ in range(_ROUNDS):
        if idempotency.claim(connection, scope, body_digest, holder, lease):
            return None
        row = idempotency.find(connection, scope)
        if row is None:  # given back between the two statements
            continue
        if row.body_digest != body_digest:
            raise Refused(
                "idempotency_mismatch",
                "This Idempotency-Key was used for another body on this route: take a new key for a new request.",
            )
        if row.status is None or row.response is None:
            break
        return Outcome(row.status, row.response, replayed=True)
    raise _in_flight()


def _in_flight() -> Transient:
    return Transient(
        "in_flight",
        "A request with this Idempotency-Key is still at work: send it again for its answer.",
        retry_after=_RETRY_AFTER,
    )
