"""The deployment's step before new code runs: the schema at this code's level, and the functions' login."""

from __future__ import annotations

import time
from collections.abc import Callable

from billing.errors import Transient
from billing.store.connection import connect
from billing.store.migrate import Left, migrate
from billing.store.roles import ensure_functions_login

PAUSE = 5.0
"""Seconds between tries: a new RDS Proxy lets nobody in for some minutes, and a new right of IAM takes a while."""


def update_schema(database_url: str, left: Left, sleep: Callable[[float], None] = time.sleep) -> int:
    """The level reached. Safe to run again, and beside another.

    Raises Transient where the time that is `left` (in seconds) did not suffice, and what `migrate` raises.
    """
    while True:
        try:
            reached = migrate(database_url, left)
            with connect(database_url) as connection:
                ensure_functions_login(connection)
        except Transient:
            if left() < PAUSE:
                raise
            sleep(PAUSE)
        else:
            return reached
