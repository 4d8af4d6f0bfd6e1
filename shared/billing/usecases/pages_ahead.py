"""A list of Stripe's page after page, asked for ahead by a thread, several at a time while they come quickly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from billing.errors import BillingError
from billing.payments.objects import Page

TOGETHER = 4
"""Pages given at a time, at most."""

SOON = 0.25
"""Seconds that pages wait for one more to be given with them."""

Asked = Future[Page | None]
Ask = Callable[[str | None], Page]
"""For the page after an id; None: for the first."""
T = TypeVar("T")


@contextmanager
def one_thread() -> Iterator[Executor]:
    """It does in order what it is given. Left only when the question on its way is answered, so that no thread outlives
    a slice; what it has not begun is not asked any more.
    """
    thread = ThreadPoolExecutor(1, "listing")
    try:
        yield thread
    finally:
        thread.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Asker:
    thread: Executor
    ask: Ask

    def first(self, after: str | None) -> Asked:
        return self.thread.submit(self.ask, after)

    def behind(self, asked: Asked) -> Asked:
        """What comes behind a page that was asked for before, so it is there when this begins; None: that was all."""
        return self.thread.submit(self._next, asked)

    def _next(self, asked: Asked) -> Page | None:
        before = asked.result()
        return None if before is None or before.last is None else self.ask(before.last)


def pages_ahead(
    thread: Executor, ask: Ask, read: Callable[[Page], T], after: str | None
) -> Iterator[tuple[list[T], str | None]]:
    """Pages as `read` has them, and the id to go on after, None where that was all. What came before a fault of `ask`
    or `read` is given before the fault is raised.

    Two questions ahead: else the next would wait to be sent until the page that came is read.
    """
    asker = _Asker(thread, ask)
    asked = asker.first(after)
    behind = asker.behind(asked)
    last, got = after, list[T]()
    while (page := asked.result()) is not None:
        asked, behind = behind, asker.behind(behind)
        try:
            one = read(page)
        except BillingError:
            if got:
                yield got, last
            raise
        got.append(one)
        last = page.last
        if len(got) == TOGETHER or not _comes_soon(asked):
            yield got, last
            got = []


def _comes_soon(asked: Asked) -> bool:
    wait([asked], SOON)
    return asked.done() and asked.exception() is None and asked.result() is not None
