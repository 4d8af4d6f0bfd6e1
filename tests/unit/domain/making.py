"""Holdings and catalogs for tests: each function makes an ordinary one, of which a test changes what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.domain.catalog import Benefit, Catalog, Feature, PricePolicy
from billing.domain.entitlements import Decision, decide, states_of
from billing.domain.holdings import Grant, Holding, Purchase, SubscriptionItem
from billing.domain.windows import FOREVER

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
PERIOD_END = START + 31 * DAY
LEEWAY = timedelta(hours=72)
GRACE = timedelta(days=7)

EXPORT = Feature("export", "boolean")
SEATS = Feature("seats", "limit")
CREDITS = Feature("credits", "limit", "sum")
THEME = Feature("theme", "config")
FEATURES = (EXPORT, SEATS, CREDITS, THEME)


def an_item(**changes: Any) -> SubscriptionItem:
    """An active monthly subscription of one unit of `price_pro`, from `START` to `PERIOD_END`."""
    item = SubscriptionItem(
        id="si_1",
        subscription_id="sub_1",
        price_id="price_pro",
        product_id="prod_pro",
        quantity=1,
        status="active",
        start=START,
        period_start=START,
        period_end=PERIOD_END,
        event="evt_1",
    )
    return replace(item, **changes)


def a_purchase(**changes: Any) -> Purchase:
    """`price_life`, paid at `START`."""
    purchase = Purchase("cs_1/li_1", "price_life", "prod_life", 1, paid_at=START, event="evt_2")
    return replace(purchase, **changes)


def a_grant(**changes: Any) -> Grant:
    """`export`, given for ever from `START` on."""
    grant = Grant(
        id="grant_1",
        project_id="notes",
        feature="export",
        value=True,
        denial=False,
        priority=0,
        valid_from=START,
        valid_to=FOREVER,
        created_at=START,
    )
    return replace(grant, **changes)


def a_denial(**changes: Any) -> Grant:
    """`export`, taken away for ever from `START` on."""
    return a_grant(**{"id": "grant_no", "value": None, "denial": True, **changes})


def a_catalog(
    by_product: Mapping[str, tuple[Benefit, ...]] | None = None,
    by_price: Mapping[str, tuple[Benefit, ...]] | None = None,
    policies: Mapping[str, PricePolicy] | None = None,
    features: tuple[Feature, ...] = FEATURES,
    epoch: int = 1,
) -> Catalog:
    """The project `notes`: unless told otherwise, its pro and lifetime products give `export`."""
    if by_product is None:
        by_product = {"prod_pro": (Benefit("export", value=True),), "prod_life": (Benefit("export", value=True),)}
    return Catalog("notes", epoch, {f.code: f for f in features}, by_product, by_price or {}, policies or {})


def decided(
    holding: Holding | list[Holding], at: datetime, catalog: Catalog | None = None, code: str = "export"
) -> Decision:
    """What these holdings come to for one feature at one instant."""
    held = holding if isinstance(holding, list) else [holding]
    return decide(states_of(held, catalog or a_catalog())[code], at)
