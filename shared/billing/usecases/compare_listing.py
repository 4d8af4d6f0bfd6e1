"""The pass `listing`: all that Stripe lists of what the store mirrors, beside the store.

Kind after kind, first the list is staged page by page, then both sides are gone through in the order of ids. Memory
does not grow with either. What a list does not show is asked for by its id before anybody believes it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from billing.domain.facts import InvoiceFact
from billing.errors import Permanent
from billing.payments import objects
from billing.payments.client import StripeClient
from billing.payments.mirrored import COLLECTIONS, DATED, ListedPage, Mirrored, ask_page, read_mirrored, state_of
from billing.payments.objects import Fetched, Gone, Page
from billing.store import mirrors
from billing.store.connection import Connection, transaction
from billing.store.mirrors import Staged, Unequal
from billing.usecases.last_payments import KIND as INVOICE
from billing.usecases.last_payments import last_payments
from billing.usecases.pages_ahead import one_thread, pages_ahead
from billing.usecases.passes import Batch, Batches, Drift, Json, Means, nothing

WIDTH = 1000
"""Ids a slice has at most."""

MOST_CONFIRMED = 50
"""Objects a slice asks Stripe for; it ends with the last of them."""

FOREIGN = "listing_shows_nothing_known"
"""Why an absence is not believed: Stripe's lists show not one product or customer of the store's."""

_SLOW = {"dispute": 4}
"""So many times as far back: a dispute goes on for months."""

AHEAD = "watermark_ahead"
"""Why an object is repaired that may say the same: its row says to be newer than Stripe's own clock, so that no event
would ever change it.
"""

SKEW = 300
"""Seconds that a row may be ahead of Stripe's clock: as far apart as clocks here may be, for signatures too."""

CHARGE = "charge"
"""Of charges there is no list: the refunds' and disputes' show them."""

PAYMENT = "payment"
"""Of some paid invoices: asked for one by one, staged beside the open ones, compared with them at last."""

_KINDS = (*takewhile(lambda kind: kind != "checkout.session", COLLECTIONS), CHARGE, "checkout.session", PAYMENT)
_FETCHES: Mapping[str, Callable[[StripeClient, str], Fetched[Any] | Gone]] = {
    "customer": objects.fetch_customer,
    "product": objects.fetch_product,
    "price": objects.fetch_price,
    "subscription": objects.fetch_subscription,
    "invoice": objects.fetch_invoice,
    "refund": objects.fetch_refund,
    "dispute": objects.fetch_dispute,
    CHARGE: objects.fetch_paid_charge,
    "checkout.session": objects.fetch_checkout,
}
_QUESTIONS = {CHARGE: 3}
"""To Stripe, where it is more than one."""


@dataclass(frozen=True, slots=True)
class _Place:
    """`after`: of the list the last id of a page, of the comparison the last id compared."""

    kind: str = _KINDS[0]
    listed: bool = False
    after: str | None = None

    @property
    def position(self) -> Json:
        return {"kind": self.kind, "listed": self.listed, "after": self.after}

    def beyond(self) -> _Place | None:
        """The next kind's beginning, None behind the last."""
        rest = _KINDS[_KINDS.index(self.kind) + 1 :]
        return _Place(rest[0]) if rest else None


def compare_listing(means: Means, position: Json) -> Batches:
    """Raises Transient, Permanent (`stripe_refused`)."""
    place: _Place | None = _Place(**position) if position else _Place()
    with one_thread() as thread:
        while place is not None:
            if not place.listed:
                yield from _stage(means, place, thread)
                place = _Place(place.kind, listed=True)
            if place.kind == INVOICE:
                place = place.beyond()
                continue
            batch, place = _compare(means, place)
            yield batch


def _stage(means: Means, place: _Place, thread: Executor) -> Iterator[Batch]:
    if place.kind == CHARGE:
        yield _charges(means, place)
    elif place.kind == PAYMENT:
        for batch, last in last_payments(means, place.after or ""):
            yield replace(batch, position=replace(place, after=last).position)
    else:
        yield from _list(means, place, thread)


def _list(means: Means, place: _Place, thread: Executor) -> Iterator[Batch]:
    """Page after page: while some are read and stored, the next are on their way."""

    def ask(after: str | None) -> Page:
        means.spend()
        since = _since(means, place.kind)
        seconds = None if since is None else int(since.timestamp())
        return ask_page(means.worker.stripe, place.kind, since=seconds, after=after)

    def read(page: Page) -> ListedPage:
        return read_mirrored(means.worker.stripe, place.kind, page)

    for pages, last in pages_ahead(thread, ask, read, place.after):
        onward = _Place(place.kind, listed=True) if last is None else replace(place, after=last)
        yield _listed(means, onward, pages)


def _charges(means: Means, place: _Place) -> Batch:
    def stage(connection: Connection) -> None:
        mirrors.stage_charges(connection, means.run_id)

    return Batch(replace(place, listed=True).position, 0, (), stage, (), done=False)


def _listed(means: Means, onward: _Place, pages: list[ListedPage]) -> Batch:
    """Pages to be staged as one; `onward`: where it goes on behind them."""
    rows = [
        Staged(row.id, page.at, {**row.state, "created": row.created})
        for page in pages
        for row in page.rows
        if row.state
    ]

    def stage(connection: Connection) -> None:
        mirrors.stage(connection, means.run_id, onward.kind, rows)

    count, digests = sum(len(page.rows) for page in pages), tuple(page.digest for page in pages)
    return Batch(onward.position, count, digests, stage, (), done=False)


def _compare(means: Means, place: _Place) -> tuple[Batch, _Place | None]:
    after, kind = place.after or "", INVOICE if place.kind == PAYMENT else place.kind
    since, ahead = _since(means, kind), int(means.worker.now().timestamp()) + SKEW
    with transaction(means.worker.database_url) as connection:
        ids = mirrors.next_ids(connection, means.run_id, kind, since=since, after=after, width=WIDTH)
        differing = mirrors.unequal(
            connection,
            means.run_id,
            kind,
            ids,
            cut=int(means.cut.timestamp()),
            ahead=ahead,
            project_id=means.project_id,
        )
        orphans = [one.id for one in differing if one.linked is not None]
        known = mirrors.told_orphans(connection, kind, orphans, means.run_id) if orphans else set()
        absent = any(one.listed is None for one in differing)
        believed = absent and mirrors.listing_is_ours(connection, means.run_id)
    chosen, last = _bounded(differing)
    news = (one for one in chosen if one.id not in known)
    drifts = tuple(filter(None, (_drift(means, kind, one, believed=believed) for one in news)))
    onward = _onward(place, ids, last)
    position = place.position if onward is None else onward.position
    return Batch(position, 0, (), nothing, drifts, done=onward is None), onward


def _bounded(differing: list[Unequal]) -> tuple[list[Unequal], str | None]:
    """As many as are worth one slice, and the id where it ends if that is not all."""
    asked_for = [place for place, one in enumerate(differing) if one.listed is None or one.ahead is not None]
    if len(asked_for) <= MOST_CONFIRMED:
        return differing, None
    chosen = differing[: asked_for[MOST_CONFIRMED - 1] + 1]
    return chosen, chosen[-1].id


def _onward(place: _Place, ids: list[str], last: str | None) -> _Place | None:
    if last is not None:
        return replace(place, after=last)
    return replace(place, after=ids[-1]) if len(ids) == WIDTH else place.beyond()


def _since(means: Means, kind: str) -> datetime | None:
    if means.look_back is None or kind not in DATED | {CHARGE}:
        return None
    return means.cut - means.look_back * _SLOW.get(kind, 1)


def _drift(means: Means, kind: str, one: Unequal, *, believed: bool) -> Drift | None:
    about = (one.user_id, one.project_id)
    if one.ahead is not None and one.listed is not None:
        return _ahead(means, kind, one, one.ahead)
    if one.listed is None:
        return _absent(means, kind, one, believed=believed)
    stated = one.listed["fact"]
    if one.stored is not None:
        return Drift("field_mismatch", kind, one.id, one.stored, stated, *about)
    if one.linked is not None:
        return Drift("orphan", kind, one.id, {"linked": one.linked}, stated, *about, reason="user_has_another")
    return Drift("missing_local", kind, one.id, {}, stated, *about)


def _ahead(means: Means, kind: str, one: Unequal, watermark: int) -> Drift | None:
    """Stripe's clock decides: its answer is later than whatever the row can have been told."""
    answer = fetch(means, kind, one.id)
    if watermark <= answer.at + SKEW:
        return None
    stored = {**(one.stored or {}), "watermark": watermark}
    stated = {**stated_by(answer), "watermark": answer.at}
    return Drift("field_mismatch", kind, one.id, stored, stated, one.user_id, one.project_id, AHEAD)


def _absent(means: Means, kind: str, one: Unequal, *, believed: bool) -> Drift | None:
    """Absence is not deletion: the object itself is asked for."""
    about = (one.user_id, one.project_id)
    stored = one.stored or {}
    try:
        answer = fetch(means, kind, one.id)
        stated = None if is_gone(answer) else stated_by(answer)
    except Permanent as fault:
        return Drift("field_mismatch", kind, one.id, stored, {}, *about, reason=fault.code)
    if stated is None:
        return Drift("missing_remote", kind, one.id, stored, {}, *about, reason=None if believed else FOREIGN)
    return None if stated == stored else Drift("field_mismatch", kind, one.id, stored, stated, *about)


def fetch(means: Means, kind: str, object_id: str) -> Fetched[Any] | Gone:
    """The object as it is now, paid for. Raises Transient, Permanent."""
    for _ in range(_QUESTIONS.get(kind, 1)):
        means.spend()
    return _FETCHES[kind](means.worker.stripe, object_id)


def is_gone(answer: Fetched[Any] | Gone) -> bool:
    """Of a deleted customer, product or price Stripe keeps a stub."""
    return isinstance(answer, Gone) or getattr(answer.fact, "deleted", False) is True


def stated_by(answer: Fetched[Mirrored] | Gone) -> dict[str, Any]:
    if isinstance(answer, Gone):
        return {}
    stated = dict(state_of(answer.fact)["fact"])
    # only what a list shows is held against the day on which a payment failed
    return stated | {"failed_at": None} if isinstance(answer.fact, InvoiceFact) else stated
