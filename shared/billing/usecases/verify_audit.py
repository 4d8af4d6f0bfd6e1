"""Proves that the audit is what was written: a chain is walked to its head, from its start or a mark kept elsewhere.

A rewritten tail whose head was rewritten too proves well by itself: the hourly log line of the heads tells it apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from billing.domain.audit import START, Break, Mark, follow, settle
from billing.store import audit
from billing.store.connection import transaction

SLICE = 1000
"""Entries read at a time: memory stays flat, and no transaction is held open."""


@dataclass(frozen=True, slots=True)
class Verified:
    """One chain. `reached` is the last entry that was proven; not `complete`: time was up there, go on from it.

    `fault` is the first place that does not fit.
    """

    chain: str
    reached: Mark
    head: Mark | None
    fault: Break | None = None
    complete: bool = True

    @property
    def ok(self) -> bool:
        return self.complete and self.fault is None


def verify_chain(
    database_url: str, chain: str, after: Mark = START, go_on: Callable[[], bool] = lambda: True
) -> Verified:
    """Walk the chain's entries after `after` up to its head, while `go_on` says that there is time.

    Raises Transient where PostgreSQL does not answer.
    """
    with transaction(database_url) as connection:
        end = audit.end_of(connection, chain)
    if end.head is None:
        return Verified(chain, after, None, _headless(after, end.last))
    reached = after
    while reached.seq < end.head.seq:
        if not go_on():
            return Verified(chain, reached, end.head, complete=False)
        with transaction(database_url) as connection:
            links = audit.links_after(connection, chain, reached.seq, until=end.head.seq, limit=SLICE)
        if not links:
            break
        moved = follow(reached, links)
        if isinstance(moved, Break):
            return Verified(chain, reached, end.head, moved)
        reached = moved
    fault = settle(reached, end.head) or _beyond(database_url, chain)
    return Verified(chain, reached, end.head, fault)


def verify_all(database_url: str, go_on: Callable[[], bool] = lambda: True) -> list[Verified]:
    """Every chain, in order of their names; after the first that is not complete none is begun."""
    with transaction(database_url) as connection:
        chains = audit.chains(connection)
    results: list[Verified] = []
    for chain in chains:
        results.append(verify_chain(database_url, chain, go_on=go_on))
        if not results[-1].complete:
            break
    return results


def _headless(after: Mark, last: int) -> Break | None:
    """Without head and entries a chain never was; unless somebody knows better."""
    if last == 0 and after == START:
        return None
    return Break(1, "no_head", "the chain's head was deleted, so nothing says where it ends")


def _beyond(database_url: str, chain: str) -> Break | None:
    """Both ends are read anew, in one statement: honest writers have gone on meanwhile."""
    with transaction(database_url) as connection:
        end = audit.end_of(connection, chain)
    if end.head is None or end.last <= end.head.seq:
        return None
    return Break(end.head.seq + 1, "beyond_head", "there are entries that the head does not know: they were put in")
