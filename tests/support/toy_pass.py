"""A pass over a table of its own: each row is a drift, repaired by counting it. `take…` takes something."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from billing.errors import Transient
from billing.store.connection import Connection, transaction
from billing.usecases.passes import Batch, Batches, Drift, Json, Means, Mended

PAGE = 2

_STAGE = """
INSERT INTO run_listing (run_id, object_type, object_id, state, listed_at_second) VALUES (%s, 'toy', %s, '{}', 0)
ON CONFLICT DO NOTHING
"""


def make_toys(database_url: str, names: Sequence[str]) -> None:
    """`covered_by`: it takes only if that one is repaired already."""
    with transaction(database_url) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS toys (id text PRIMARY KEY, customer bigint GENERATED ALWAYS AS IDENTITY,"
            " repairs integer NOT NULL DEFAULT 0, covered_by text)"
        )
        connection.execute("DELETE FROM toys")
        for name in names:
            connection.execute("INSERT INTO toys (id) VALUES (%s)", (name,))


def repairs(database_url: str) -> dict[str, int]:
    with transaction(database_url) as connection:
        return dict(connection.execute("SELECT id, repairs FROM toys ORDER BY id").fetchall())


@dataclass
class ToyPass:
    """`before_page` and `before_repair` run where a real pass would wait for Stripe."""

    before_page: Callable[[], None] = lambda: None
    before_repair: Callable[[Drift, bool], None] = lambda _drift, _commit: None
    broken: dict[str, Exception] = field(default_factory=dict)

    def find(self, means: Means, position: Json) -> Batches:
        after, done = str(position.get("after", "")), False
        while not done:
            self.before_page()
            means.spend()
            with transaction(means.worker.database_url) as connection:
                rows = connection.execute(
                    "SELECT id, repairs FROM toys WHERE id > %s ORDER BY id LIMIT %s", (after, PAGE)
                ).fetchall()
            done = len(rows) < PAGE
            after = rows[-1][0] if rows else after
            yield _batch(means, after, rows, done=done)

    def repair(self, means: Means, drift: Drift, guard: Callable[[Connection], None], commit: bool) -> Mended:
        self.before_repair(drift, commit)
        if drift.object_id in self.broken:
            raise self.broken[drift.object_id]
        with transaction(means.worker.database_url) as connection:
            guard(connection)
            row = connection.execute(
                "UPDATE toys AS t SET repairs = t.repairs + %s WHERE t.id = %s RETURNING t.customer,"
                " t.id LIKE 'take%%' OR EXISTS (SELECT FROM toys AS c WHERE c.id = t.covered_by AND c.repairs > 0)",
                (int(commit), drift.object_id),
            ).fetchone()
        assert row is not None
        customer, takes = row
        return Mended("repaired", takes=takes, customer_ids=(customer,))


def stripe_is_away() -> None:
    raise Transient("stripe_unavailable", "Stripe did not answer: try again.")


def _batch(means: Means, after: str, rows: Sequence[tuple[str, int]], *, done: bool) -> Batch:
    def stage(connection: Connection) -> None:
        for name, _ in rows:
            connection.execute(_STAGE, (means.run_id, name))

    drifts = tuple(Drift("field_mismatch", "toy", name, {"repairs": 0}, {"repairs": 1}) for name, n in rows if n == 0)
    return Batch({"after": after}, len(rows), (sha256(repr(rows).encode()).digest(),), stage, drifts, done)
