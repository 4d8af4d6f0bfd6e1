"""A look into PostgreSQL from outside: who waits for whom, and putting an end to a dead process's backend."""

import time
from dataclasses import dataclass
from typing import Any

import psycopg

_BLOCKERS = "SELECT pg_blocking_pids(%s)"
_END = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = %s"
_DEADLINE = 10.0


@dataclass(frozen=True)
class PostgresWatch:
    connection: psycopg.Connection[Any]

    def waits_for_lock(self, backend: int) -> bool:
        return bool(self._blockers(backend))

    def in_deadlock(self, backend: int) -> bool:
        """Whether the backend waits, over however many others, for itself."""
        seen: set[int] = set()
        ahead = self._blockers(backend)
        while ahead:
            blocker = ahead.pop()
            if blocker == backend:
                return True
            if blocker not in seen:
                seen.add(blocker)
                ahead += self._blockers(blocker)
        return False

    def wait_out_deadlock(self, backend: int) -> None:
        """Until PostgreSQL has found it (`deadlock_timeout`) and ended one of the transactions."""
        deadline = time.monotonic() + _DEADLINE
        while self.in_deadlock(backend):
            if time.monotonic() > deadline:
                raise TimeoutError("PostgreSQL does not end a deadlock")
            time.sleep(0.01)

    def end(self, backend: int) -> None:
        self.connection.execute(_END, (backend,))

    def _blockers(self, backend: int) -> list[int]:
        row = self.connection.execute(_BLOCKERS, (backend,)).fetchone()
        return list(row[0]) if row else []
