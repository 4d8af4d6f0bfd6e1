"""Why may a user use a feature, or why not: at any instant, as it was known then, with what caused each change.

Off the hot path: everything comes from PostgreSQL, whose rows of history are only ever added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.domain.catalog import Catalog, benefits_of
from billing.domain.changes import catalog_changed, holdings_changed
from billing.domain.explain import Because, Labels, explain
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem
from billing.domain.rules import Rule
from billing.domain.sources import Source
from billing.domain.windows import FOREVER, from_seconds, rfc3339
from billing.errors import Refused
from billing.store import history
from billing.store.connection import Connection, transaction
from billing.store.history import Change, Edition, Known, Offer

MOST_CHANGES = 50
"""Told in one explanation: the latest."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`at` None: now. An instant to come is answered by what is known now."""

    project_id: str
    user_id: str
    feature: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Story:
    """What was known, and how it came to be: `changes` and `editions` oldest first, each with one from before."""

    known: Known
    changes: list[Change]
    editions: list[Edition]
    offers: Mapping[str, Offer]
    labels: Labels

    def held(self, change: Change | Known) -> list[Holding]:
        """The holdings that concern the project: a namespace may serve several, and each knows only its own."""
        return [one for one in change.holdings if _concerns(one, self.known.catalog, self.offers)]


@dataclass(frozen=True, slots=True)
class _Step:
    """A change with what it came to. `touched` are the holdings it is about."""

    at: datetime
    version: int
    cause_kind: str
    cause_id: str
    what: list[str]
    touched: frozenset[tuple[type[Holding], str]] = frozenset()


def explain_access(database_url: str, asked: Asked, now: datetime) -> dict[str, Any]:
    """The explanation as JSON members (SPEC §3 `GET /entitlements/explain`).

    Of a past instant: by the holdings and the catalog recorded until then. Raises Refused (`project_not_found`),
    Transient.
    """
    at = now if asked.at is None else asked.at
    with transaction(database_url) as connection:
        story = _read(connection, asked, at if at < now else FOREVER)
        steps = _steps(story, asked.feature)
        causes = _causes(connection, story, steps)
    return _told(story, asked, at, steps, causes)


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(connection: Connection, asked: Asked, until: datetime) -> _Story:
    known = history.known_at(connection, asked.project_id, asked.user_id, until)
    if known is None:
        raise Refused("project_not_found", f"there is no project {asked.project_id}")
    if known.customer_id is None:
        return _Story(known, [], [], {}, {})
    changes = history.changes_of(
        connection, asked.project_id, known.customer_id, version=known.version, limit=MOST_CHANGES + 1
    )
    bought = {one.price_id for change in changes for one in change.holdings if not isinstance(one, Grant)}
    offers = history.offers_of(connection, bought)
    labels = {price_id: _label(offer) for price_id, offer in offers.items()}
    editions = history.editions_of(
        connection, known.catalog, known.customer_id, asked.feature, bought, limit=MOST_CHANGES + 1
    )
    return _Story(known, changes, editions, offers, labels)


def _label(offer: Offer) -> str:
    return offer.product_name if offer.lookup_key is None else f"{offer.product_name} ({offer.lookup_key})"


def _concerns(holding: Holding, catalog: Catalog, offers: Mapping[str, Offer]) -> bool:
    if isinstance(holding, Grant):
        return holding.project_id == catalog.project_id
    offer = offers.get(holding.price_id)
    ours = offer is not None and offer.project_id == catalog.project_id
    return ours or bool(benefits_of(catalog, holding.product_id, holding.price_id))


def _steps(story: _Story, feature: str) -> list[_Step]:
    """The latest changes that concern the project, of holdings and of the catalog, oldest first."""
    steps: list[_Step] = []
    before: Sequence[Holding] = ()
    for change in story.changes:
        held = story.held(change)
        told = holdings_changed(before, held, story.labels)
        touched = frozenset((type(one.holding), one.holding.id) for one in told)
        what = [one.text for one in told]
        steps.append(_Step(change.at, change.public_version, change.cause_kind, change.cause_id, what, touched))
        before = held
    if story.changes and story.changes[0].version > 1:
        steps = steps[1:]  # read only to compare the next one with
    met = min((change.at for change in story.changes), default=FOREVER)
    for older, newer in zip(story.editions, story.editions[1:], strict=False):
        what = catalog_changed(older.catalog, newer.catalog, feature, story.labels)
        if newer.at > met:
            steps.append(_Step(newer.at, newer.public_version, "catalog", str(newer.catalog.epoch), what))
    steps = [step for step in steps if step.what]
    steps.sort(key=lambda step: (step.at, step.version))
    return steps[-MOST_CHANGES:]


def _causes(connection: Connection, story: _Story, steps: Iterable[_Step]) -> dict[tuple[str, str], dict[str, Any]]:
    """What is known of every cause that is named, by kind and id."""
    named = {(step.cause_kind, step.cause_id) for step in steps}
    named |= {origin for origin in map(_stated, story.known.holdings) if origin is not None}
    events = history.events_of(connection, [i for kind, i in named if kind == "event"])
    grants = history.grants_of(connection, [i for kind, i in named if kind == "grant"])
    told: dict[tuple[str, str], dict[str, Any]] = {(kind, i): {"kind": kind, "id": i} for kind, i in named}
    for event in events.values():
        created = None if event.created is None else rfc3339(from_seconds(event.created))
        received = rfc3339(event.received_at)
        told["event", event.event_id] |= {"type": event.type, "created": created, "received_at": received}
    for grant in grants.values():
        told["grant", grant.id] |= {"reason": grant.reason, "actor": grant.actor}
    return told


def _stated(holding: Holding) -> tuple[str, str] | None:
    """What a holding names as its origin: a grant is its own, else the event, sync or run that stated it last."""
    if isinstance(holding, Grant):
        return "grant", holding.id
    if holding.event is None:
        return None
    kind, colon, _ = holding.event.partition(":")
    return (kind if colon else "event"), holding.event


# --- telling ---------------------------------------------------------------------------------------------------------

_Causes = Mapping[tuple[str, str], Mapping[str, Any]]


def _told(story: _Story, asked: Asked, at: datetime, steps: Sequence[_Step], causes: _Causes) -> dict[str, Any]:
    known = story.known
    found = explain(asked.feature, known.holdings, known.catalog, at, story.labels)
    decision = found.decision
    return {
        "project_id": asked.project_id,
        "user_id": asked.user_id,
        "feature": asked.feature,
        "at": rfc3339(at),
        "version": known.version + known.catalog.epoch,
        "as_of": None if known.as_of is None else rfc3339(known.as_of),
        "allowed": decision.allowed,
        "value": decision.value,
        "reason": decision.reason,
        "valid_to": _end(decision.valid_to),
        "rule": _rule(found.rule),
        "sources": [_because(one, at, steps, causes) for one in found.sources],
        "denials": [_because(one, at, steps, causes) for one in found.denials],
        "changes": [
            {
                "at": rfc3339(step.at),
                "version": step.version,
                "what": step.what,
                "cause": causes.get((step.cause_kind, step.cause_id)),
            }
            for step in steps
        ],
    }


def _because(one: Because, at: datetime, steps: Sequence[_Step], causes: _Causes) -> dict[str, Any]:
    identity = (type(one.holding), one.holding.id)
    last = next((step for step in reversed(steps) if identity in step.touched), None)
    cause = _stated(one.holding) if last is None else (last.cause_kind, last.cause_id)
    window = one.effect.window
    return {
        **_names(one.holding, causes),
        "label": one.label,
        "live": window.contains(at),
        **({"value": one.effect.value} if isinstance(one.effect, Source) else {}),
        "valid_from": rfc3339(window.start),
        "valid_to": _end(window.end),
        "rule": _rule(one.rule),
        "other_rules": [_rule(rule) for rule in one.others],
        "caused_by": None if cause is None else causes.get(cause),
    }


def _names(holding: Holding, causes: _Causes) -> dict[str, Any]:
    """The ids by which the holding is found again, in Stripe or here."""
    match holding:
        case SubscriptionItem():
            names = {"kind": "subscription_item", "id": holding.id, "subscription": holding.subscription_id}
            return {**names, "status": holding.status, "product": holding.product_id, "price": holding.price_id}
        case Purchase():
            session_id = holding.id.partition("/")[0]
            names = {"kind": "purchase", "id": holding.id, "checkout_session": session_id}
            return {**names, "product": holding.product_id, "price": holding.price_id}
        case Grant():
            note = causes.get(("grant", holding.id), {})
            return {"kind": "grant", "id": holding.id, "reason": note.get("reason"), "actor": note.get("actor")}


def _rule(rule: Rule) -> dict[str, str]:
    return {"code": rule.code, "text": rule.text}


def _end(instant: datetime) -> str | None:
    return None if instant >= FOREVER else rfc3339(instant)
