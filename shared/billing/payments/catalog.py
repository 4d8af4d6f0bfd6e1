"""Products and prices as we want them in Stripe: found where they are there, made where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stripe import StripeClient
from stripe.params import PriceCreateParams

from billing.domain.facts import PriceFact, ProductFact
from billing.errors import Permanent
from billing.payments.client import Rejected, create_once, derived_key, our_errors
from billing.payments.objects import Fetched, Gone, fetch_price, fetch_product


@dataclass(frozen=True, slots=True)
class Money:
    """What a price asks: `unit_amount` in minor units of `currency`, each `every` intervals or, without one, once."""

    currency: str
    unit_amount: int
    interval: Literal["day", "week", "month", "year"] | None = None
    every: int = 1


def ensure_product(client: StripeClient, project_id: str, key: str, name: str) -> Fetched[ProductFact]:
    """The product of this key, under an id of our own making, so that no retry and no race can make two.

    An existing one is renamed where its name differs. Raises Transient, Rejected.
    """
    product_id = f"{project_id}_{key}"
    known = fetch_product(client, product_id)
    if isinstance(known, Gone):
        _create_product(client, project_id, product_id, name)
    elif known.fact.name != name:
        with our_errors():
            client.v1.products.update(product_id, {"name": name})
    else:
        return known
    made = fetch_product(client, product_id)
    if isinstance(made, Gone):
        raise Permanent("product_deleted", f"Stripe has deleted {product_id} for good: give the product another key")
    return made


def _create_product(client: StripeClient, project_id: str, product_id: str, name: str) -> None:
    try:
        with our_errors():
            client.v1.products.create({"id": product_id, "name": name, "metadata": {"billing_project_id": project_id}})
    except Rejected as refusal:
        if refusal.reason != "resource_already_exists":
            raise


def ensure_price(client: StripeClient, product_id: str, lookup_key: str, money: Money) -> Fetched[PriceFact]:
    """The active price of this lookup key. One that asks other money loses the key to a new price, not its holders.

    Raises Transient, Rejected.
    """
    with our_errors():
        holders = client.v1.prices.list({"lookup_keys": [lookup_key], "limit": 1}).data
    held = fetch_price(client, holders[0].id) if holders else None
    if isinstance(held, Fetched) and held.fact.active and _asks(held.fact, product_id, money):
        return held
    before = held.fact.id if isinstance(held, Fetched) else "none"
    params = _price_params(product_id, lookup_key, money)
    made = create_once(
        derived_key("price", before, params),
        lambda options: client.v1.prices.create(params, options),
    )
    fetched = fetch_price(client, made.id)
    if isinstance(fetched, Gone):
        raise Permanent("price_deleted", f"Stripe has deleted {made.id} already: apply the catalog again")
    return fetched


def _price_params(product_id: str, lookup_key: str, money: Money) -> PriceCreateParams:
    params: PriceCreateParams = {
        "product": product_id,
        "lookup_key": lookup_key,
        "transfer_lookup_key": True,
        "currency": money.currency,
        "unit_amount": money.unit_amount,
    }
    if money.interval is not None:
        params["recurring"] = {"interval": money.interval, "interval_count": money.every}
    return params


def _asks(fact: PriceFact, product_id: str, money: Money) -> bool:
    asked = (fact.product_id, fact.currency, fact.unit_amount, fact.recurring_interval, fact.recurring_count or 1)
    return asked == (product_id, money.currency, money.unit_amount, money.interval, money.every)
