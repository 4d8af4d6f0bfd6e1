"""What the hash chain costs its writers: acts a second into one chain, into a chain each, and into a plain table.

`python -m tests.bench.audit`: each transaction locks a customer, changes it and appends one act, as every operator's
write does. Ratios are what to trust; the server runs with fsync on.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from billing.store import audit
from billing.store.audit import Act
from billing.store.connection import Connection, close, transaction
from billing.store.migrate import migrate
from infra.local.postgres import run_postgres
from tests.support.postgres import temporary_directory

SECONDS = 3.0
NOW = datetime(2026, 11, 23, tzinfo=UTC)
_PLAIN = "INSERT INTO plain_audit (actor, action, target, after) VALUES ('ann', 'grant.create', 'grant_1', '{\"n\":1}')"

Append = Callable[[Connection, int], None]


def main() -> None:
    with temporary_directory("billing-bench-") as work_dir, run_postgres(work_dir / "data") as server:
        url = server.url
        migrate(url)
        with transaction(url) as connection:
            connection.execute(
                "CREATE TABLE plain_audit (id bigserial, actor text, action text, target text, after json)"
            )
            for number in range(16):
                connection.execute("INSERT INTO customers (namespace, user_id) VALUES ('bench', %s)", (str(number),))
        close(url)
        print(f"{'writers':>8}{'one chain':>12}{'chain each':>12}{'no chain':>12}   acts/s")
        for writers in (1, 2, 4, 8):
            rates = [rate(url, writers, append) for append in (one_chain, chain_each, no_chain)]
            print(f"{writers:>8}" + "".join(f"{measured:>12.0f}" for measured in rates))


def one_chain(connection: Connection, _writer: int) -> None:
    audit.append(connection, act("bench"), NOW)


def chain_each(connection: Connection, writer: int) -> None:
    audit.append(connection, act(f"bench-{writer}"), NOW)


def no_chain(connection: Connection, _writer: int) -> None:
    connection.execute(_PLAIN)


def act(chain: str) -> Act:
    return Act(chain, "ann", "key_1", "grant.create", "grant_1", "a gift", None, {"n": 1}, "req-1")


def rate(url: str, writers: int, append: Append) -> float:
    """Acts a second, all writers together."""
    start = threading.Barrier(writers)

    def write(writer: int) -> int:
        start.wait()
        end, count = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            with transaction(url) as connection:
                connection.execute("UPDATE customers SET version = version + 1, changed_at = now() WHERE user_id = %s",
                                   (str(writer),))  # fmt: skip
                append(connection, writer)
            count += 1
        close(url)
        return count

    with ThreadPoolExecutor(writers) as threads:
        return sum(threads.map(write, range(writers))) / SECONDS


if __name__ == "__main__":
    main()
