"""The pass `listing`: all that Stripe lists of what the store mirrors, beside the store.

Kind after kind, first the list is staged page by page, then both sides are gone through in the order of ids. Memory
does not grow with either. What a list does not show is asked for by its id before anybody believes it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from billing.errors import Permanent
from billing.payments import objects
from billing.payments.client import StripeClient
from billing.payments.mirrored import COLLECTIONS, DATED, Mirrored, list_mirrored, state_of
from billing.payments.objects import Fetched, Gone
from billing.store import mirrors
from billing.store.connection import Connection, transaction
from billing.store.mirrors import Staged, Unequal
from billing.usecases.passes import Batch, Drift, Json, Means, nothing

WIDTH = 500
"""Ids a slice has at most."""

MOST_CONFIRMED = 50
"""Objects a slice asks Stripe for; it ends with the last of them."""

FOREIGN = "listing_shows_nothing_known"
"""Why an absence is not believed: Stripe's lists show not one product or customer of the store's."""

_SLOW = {"dispute": 4}
"""So many times as far back: a dispute goes on for months."""

_KINDS = tuple(COLLECTIONS)
FETCHES: Mapping[str, Callable[[StripeClient, str], Fetched[Any] | Gone]] = {
    "customer": objects.fetch_customer,
    "product": objects.fetch_product,
    "price": objects.fetch_price,
    "subscription": objects.fetch_subscription,
    "invoice": objects.fetch_invoice,
    "refund": objects.fetch_refund,
    "dispute": objects.fetch_dispute,
    "checkout.session": objects.fetch_checkout,
}


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


def compare_listing(means: Means, position: Json) -> Iterator[Batch]:
    """Raises Transient, Permanent (`stripe_refused`)."""
    place: _Place | None = _Place(**position) if position else _Place()
    while place is not None:
        step = _compare if place.listed else _list
        batch, place = step(means, place)
        yield batch


def _list(means: Means, place: _Place) -> tuple[Batch, _Place]:
    means.spend()
    since = _since(means, place.kind)
    seconds = None if since is None else int(since.timestamp())
    found = list_mirrored(means.worker.stripe, place.kind, since=seconds, after=place.after)
    rows = [Staged(row.id, found.at, {**row.state, "created": row.created}) for row in found.rows if row.state]

    def stage(connection: Connection) -> None:
        mirrors.stage(connection, means.run_id, place.kind, rows)

    onward = replace(place, after=found.last) if found.last is not None else _Place(place.kind, listed=True)
    return Batch(onward.position, len(found.rows), found.digest, stage, (), done=False), onward


def _compare(means: Means, place: _Place) -> tuple[Batch, _Place | None]:
    after = place.after or ""
    since = _since(means, place.kind)
    with transaction(means.worker.database_url) as connection:
        ids = mirrors.next_ids(connection, means.run_id, place.kind, since=since, after=after, width=WIDTH)
        differing = mirrors.unequal(
            connection,
            means.run_id,
            place.kind,
            ids,
            cut=int(means.cut.timestamp()),
            project_id=means.project_id,
        )
        orphans = [one.id for one in differing if one.linked is not None]
        known = mirrors.told_orphans(connection, place.kind, orphans, means.run_id) if orphans else set()
        believed = mirrors.listing_is_ours(connection, means.run_id)
    chosen, last = _bounded(differing)
    news = (one for one in chosen if one.id not in known)
    drifts = tuple(filter(None, (_drift(means, place.kind, one, believed=believed) for one in news)))
    onward = _onward(place, ids, last)
    position = place.position if onward is None else onward.position
    return Batch(position, 0, b"", nothing, drifts, done=onward is None), onward


def _bounded(differing: list[Unequal]) -> tuple[list[Unequal], str | None]:
    """As many as are worth one slice, and the id where it ends if that is not all."""
    absent = [place for place, one in enumerate(differing) if one.listed is None]
    if len(absent) <= MOST_CONFIRMED:
        return differing, None
    chosen = differing[: absent[MOST_CONFIRMED - 1] + 1]
    return chosen, chosen[-1].id


def _onward(place: _Place, ids: list[str], last: str | None) -> _Place | None:
    if last is not None:
        return replace(place, after=last)
    return replace(place, after=ids[-1]) if len(ids) == WIDTH else place.beyond()


def _since(means: Means, kind: str) -> datetime | None:
    if means.look_back is None or kind not in DATED:
        return None
    return means.cut - means.look_back * _SLOW.get(kind, 1)


def _drift(means: Means, kind: str, one: Unequal, *, believed: bool) -> Drift | None:
    about = (one.user_id, one.project_id)
    if one.listed is None:
        return _absent(means, kind, one, believed=believed)
    stated = one.listed["fact"]
    if one.stored is not None:
        return Drift("field_mismatch", kind, one.id, one.stored, stated, *about)
    if one.linked is not None:
        return Drift("orphan", kind, one.id, {"linked": one.linked}, stated, *about, reason="user_has_another")
    return Drift("missing_local", kind, one.id, {}, stated, *about)


def _absent(means: Means, kind: str, one: Unequal, *, believed: bool) -> Drift | None:
    """Absence is not deletion: the object itself is asked for."""
    about = (one.user_id, one.project_id)
    stored = one.stored or {}
    means.spend()
    try:
        answer = FETCHES[kind](means.worker.stripe, one.id)
        stated = None if is_gone(answer) else stated_by(answer)
    except Permanent as fault:
        return Drift("field_mismatch", kind, one.id, stored, {}, *about, reason=fault.code)
    if stated is None:
        return Drift("missing_remote", kind, one.id, stored, {}, *about, reason=None if believed else FOREIGN)
    return None if stated == stored else Drift("field_mismatch", kind, one.id, stored, stated, *about)


def is_gone(answer: Fetched[Any] | Gone) -> bool:
    """Of a deleted customer, product or price Stripe keeps a stub."""
    return isinstance(answer, Gone) or getattr(answer.fact, "deleted", False) is True


def stated_by(answer: Fetched[Mirrored] | Gone) -> dict[str, Any]:
    return {} if isinstance(answer, Gone) else dict(state_of(answer.fact)["fact"])
