"""The token bucket that all event workers share for asking Stripe (SPEC §4): so many a second, as many at once."""

from __future__ import annotations

from billing.store.connection import Connection

FETCHES_PER_SECOND = 10
"""Stripe allows an account 100 requests a second, and 25 per endpoint: checkouts keep the larger part."""

# By the database's own clock: the workers' need not agree. One row, one statement: no two take one token.
_TAKE = """
UPDATE fetch_budget SET
  tokens = LEAST(%(rate)s, tokens + %(rate)s * EXTRACT(epoch FROM clock_timestamp() - filled_at)) - 1,
  filled_at = clock_timestamp()
WHERE LEAST(%(rate)s, tokens + %(rate)s * EXTRACT(epoch FROM clock_timestamp() - filled_at)) >= 1
"""


def take_token(connection: Connection, rate: int = FETCHES_PER_SECOND) -> bool:
    """Take one fetch from the budget of `rate` a second. False: it is used up for now, come again in a second."""
    return connection.execute(_TAKE, {"rate": rate}).rowcount == 1
