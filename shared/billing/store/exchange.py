"""Statements sent to PostgreSQL together and answered together: libpq's pipeline, without psycopg's cursors."""

from __future__ import annotations

import select
from collections.abc import Iterable, Iterator, Sequence

import psycopg
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

Value = str | bytes | None
"""A parameter: text as PostgreSQL reads it, or the bytes of a bytea."""

_FAULTS = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)


def exchange(pgconn: PGconn, statements: Sequence[tuple[bytes, Sequence[Value]]]) -> tuple[bytes | None, ...]:
    """The last one's first row, as text; () where it has none. Parameters are `$1` and so on.

    Raises psycopg.Error: the first that fails keeps those behind it from running. Behind RDS Proxy it pins nothing:
    the statements have no names.
    """
    ready = [(statement, *_encoded(values)) for statement, values in statements]
    try:
        pgconn.enter_pipeline_mode()
        for statement, parameters, formats in ready:
            pgconn.send_query_params(statement, parameters, None, formats)
        pgconn.pipeline_sync()
        results = _collect(pgconn)
    except BaseException:
        pgconn.finish()  # broken off half-way: what would come next on it is the answer to this
        raise
    for result in results:
        if result.status in _FAULTS:
            raise psycopg.errors.error_from_result(result)
    last = results[-1]
    return tuple(last.get_value(0, column) for column in range(last.nfields)) if last.ntuples else ()


def _collect(pgconn: PGconn) -> list[PGresult]:
    """One result a statement. Raises OperationalError where the connection is lost."""
    results: list[PGresult] = []
    for result in _arriving(pgconn):
        if result.status == ExecStatus.PIPELINE_SYNC:
            pgconn.exit_pipeline_mode()
            return results
        results.append(result)
    raise psycopg.OperationalError("the connection is lost")


def _arriving(pgconn: PGconn) -> Iterator[PGresult]:
    """Until none is to come. Other threads run on while it waits, which libpq's own waiting would not let them."""
    socket = select.poll()
    while pgconn.flush():
        socket.register(pgconn.socket, select.POLLIN | select.POLLOUT)
        socket.poll()
        pgconn.consume_input()
    socket.register(pgconn.socket, select.POLLIN)
    ended = False
    while True:
        while pgconn.is_busy():
            socket.poll()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is not None:
            yield result
        elif ended:
            return
        ended = result is None


def _encoded(values: Sequence[Value]) -> tuple[list[bytes | None], list[int]]:
    """The parameters on the wire, and the format of each."""
    if any(isinstance(value, str) and "\0" in value for value in values):
        raise psycopg.DataError("PostgreSQL text has no NUL")
    parameters = [value.encode() if isinstance(value, str) else value for value in values]
    return parameters, [Format.BINARY if isinstance(value, bytes) else Format.TEXT for value in values]


def numbers(values: Iterable[int]) -> str:
    """A bigint[] as a parameter."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Iterable[str]) -> str:
    """A text[] as a parameter."""
    return "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"
