"""Makes Stripe and the store have what a catalog document says: plan, Stripe step by step, then the store at once.

Safe to run again after a crash at any step: ids and keys are of our own making, and what is done is found done.
Products are mapped to the project before Stripe hears of them, so that not even the first event finds one unknown.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billing.domain.catalog_changes import PriceState, ProductState
from billing.domain.facts import ProductFact
from billing.errors import Refused, Transient
from billing.payments.client import StripeClient
from billing.store import catalog as local
from billing.store import catalog_applies, outbox, projects
from billing.store.audit import append
from billing.store.catalog_state import drop_other_benefits, drop_other_features
from billing.store.connection import Connection, transaction
from billing.usecases.catalog_document import CatalogDocument
from billing.usecases.catalog_steps import Made, make_in_stripe
from billing.usecases.operator import BILLING, Operator
from billing.usecases.plan_catalog import Impact, Plan, measure, plan_catalog
from billing.usecases.publish_outbox import Publisher, publish_project

LEASE = timedelta(seconds=45)
"""Longer than one question to Stripe with its retries; renewed before each."""

_LONGEST_IMPACT = 3.0
_RESERVE = 5.0  # seconds that the store's part and the answer need
_SHOWN = 200  # changes that an audit entry names


@dataclass(frozen=True, slots=True)
class Turn:
    """The project's turn, taken by one run."""

    database_url: str
    project_id: str
    holder: str
    left: Callable[[], float]

    def go_on(self) -> None:
        """Keeps the turn. Raises Transient (`catalog_busy`, `catalog_unfinished`)."""
        if self.left() < _RESERVE:
            raise Transient("catalog_unfinished", "Send the same catalog again, without plan_id: it goes on.")
        with transaction(self.database_url) as connection:
            if not catalog_applies.renew(connection, self.project_id, self.holder, LEASE):
                raise busy()


@dataclass(frozen=True, slots=True)
class Prepared:
    """All but the store's part, which is `record`: run it in the transaction that stores the answer, then publish."""

    plan: Plan
    impact: Impact
    record: Callable[[Connection], None]


def apply_catalog(
    publisher: Publisher,
    stripe: StripeClient,
    project_id: str,
    document: CatalogDocument,
    now: Callable[[], datetime],
    operator: Operator = BILLING,
) -> Prepared:
    """Effective for every holder when it returns: the new epoch is published. Raises as `prepare`."""
    prepared = prepare(publisher.database_url, stripe, project_id, document, now, operator)
    with transaction(publisher.database_url) as connection:
        prepared.record(connection)
    publish_project(publisher, project_id, now())
    return prepared


def prepare(
    database_url: str,
    stripe: StripeClient,
    project_id: str,
    document: CatalogDocument,
    now: Callable[[], datetime],
    operator: Operator,
    *,
    plan_id: str | None = None,
    left: Callable[[], float] = lambda: math.inf,
) -> Prepared:
    """Plan, and do in Stripe what is to be done there. `left` is the time there is, in seconds.

    Raises Refused (`invalid_catalog`, `catalog_refused`, `plan_outdated` where `plan_id` is another's than this plan's,
    `project_not_found`), Transient (`catalog_busy` while another document is applied, `catalog_unfinished`).
    """
    turn = Turn(database_url, project_id, secrets.token_hex(16), left)
    with _turn(turn, document):
        plan = plan_catalog(database_url, stripe, project_id, document)
        if plan_id not in (None, plan.plan_id):
            raise Refused("plan_outdated", "The catalog or Stripe changed since that plan: plan again.")
        impact = measure(database_url, plan, now(), _countdown(now, min(_LONGEST_IMPACT, left() - _RESERVE)))
        if not plan.difference.changes:
            return Prepared(plan, impact, lambda connection: _end(connection, turn))
        _map_products(turn, plan)
        made = make_in_stripe(stripe, plan, turn.go_on)

        def record(connection: Connection) -> None:
            _end(connection, turn)
            _store(connection, plan, made)
            projects.bump_epoch(connection, project_id, now())
            outbox.owe_project(connection, project_id, cause_kind="catalog", cause_id=project_id)
            acted = operator.act(
                "catalog.apply", project_id, project_id=project_id, before=None, after=_told(document, plan, impact)
            )
            append(connection, acted, now())

        return Prepared(plan, impact, record)


@contextmanager
def _turn(turn: Turn, document: CatalogDocument) -> Iterator[None]:
    """Given back where the work fails; kept for `record` where it does not."""
    with transaction(turn.database_url) as connection:
        if projects.find_project(connection, turn.project_id) is None:
            raise Refused("project_not_found", f"there is no project {turn.project_id}: create it first")
        if not catalog_applies.claim(connection, turn.project_id, turn.holder, document.digest(), LEASE):
            raise busy()
    try:
        yield
    except Exception:
        with transaction(turn.database_url) as connection:
            catalog_applies.end(connection, turn.project_id, turn.holder)
        raise


def _end(connection: Connection, turn: Turn) -> None:
    """A holder whose turn was taken over meanwhile commits nothing."""
    if not catalog_applies.end(connection, turn.project_id, turn.holder):
        raise busy()


def busy() -> Transient:
    """Of whoever finds the project's turn taken."""
    return Transient("catalog_busy", "Another catalog is being applied to this project.", retry_after=10)


def _countdown(now: Callable[[], datetime], seconds: float) -> Callable[[], float]:
    end = now() + timedelta(seconds=max(seconds, 0.0))
    return lambda: (end - now()).total_seconds()  # noqa: PLW0108  the difference is taken anew each time


def _map_products(turn: Turn, plan: Plan) -> None:
    with transaction(turn.database_url) as connection:
        for product in plan.wanted.products:
            if product.id not in plan.stored:
                row = ProductFact(product.id, product.name, active=True)
                local.insert_product(connection, turn.project_id, row, 0)


def _store(connection: Connection, plan: Plan, made: Made) -> None:
    """Features before what gives them, and those that go last. Rows are locked in order of their ids."""
    for named in plan.wanted.features:
        local.upsert_feature(connection, plan.project.id, named.feature, named.name)
    for product_id, product in sorted(made.products.items()):
        mirror = local.lock_product(connection, product_id)
        if mirror is not None and mirror.watermark <= product.at:
            local.update_product(connection, product.fact, product.at)
    for price_id, price in sorted(made.prices.items()):
        known = local.lock_price(connection, price_id)
        if known is None or known.watermark <= price.at:
            local.upsert_price(connection, price.fact, price.at)
    local.delete_prices(connection, made.deleted)
    for wanted in plan.wanted.products:
        _give(connection, plan.project.id, wanted, product_id=wanted.id, price_id=None)
    for wanted_price, price_id in zip(plan.wanted.prices(), made.ids, strict=True):
        local.set_policy(connection, price_id, wanted_price.policy, wanted_price.trial_days)
        _give(connection, plan.project.id, wanted_price, product_id=None, price_id=price_id)
    drop_other_features(connection, plan.project.id, [named.feature.code for named in plan.wanted.features])


def _give(
    connection: Connection,
    project_id: str,
    giver: ProductState | PriceState,
    *,
    product_id: str | None,
    price_id: str | None,
) -> None:
    codes = [benefit.feature for benefit in giver.benefits]
    drop_other_benefits(connection, project_id, codes, product_id=product_id, price_id=price_id)
    for benefit in giver.benefits:
        local.upsert_benefit(connection, project_id, benefit, product_id=product_id, price_id=price_id)


def _told(document: CatalogDocument, plan: Plan, impact: Impact) -> dict[str, Any]:
    """For the audit: what was changed, and how many it reached; no values, no users."""
    changes = plan.difference.changes
    return {
        "document": document.digest().hex(),
        "plan_id": plan.plan_id,
        "changes": [f"{change.kind} {change.object} {change.key}" for change in changes[:_SHOWN]],
        "more_changes": max(0, len(changes) - _SHOWN),
        "impact": {code: dict(tally.counts) for code, tally in impact.features.items()},
    }
