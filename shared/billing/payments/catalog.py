"""Products and prices made and changed in Stripe, each step safe to repeat: ids and keys are of our own making.

Every function raises Transient (Stripe cannot do it now) and Rejected (it refuses to).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stripe import StripeClient
from stripe.params import (
    PriceCreateParams,
    PriceCreateParamsTier,
    PriceUpdateParams,
    ProductUpdateParams,
)

from billing.domain.facts import PriceFact, ProductFact
from billing.domain.prices import Amount, Money, Tier, whole
from billing.errors import Permanent
from billing.payments.client import Rejected, create_once, derived_key, our_errors
from billing.payments.members import Members
from billing.payments.objects import Fetched, Gone, clock, fetch_product
from billing.payments.prices import EXPAND, read_price, read_product

if TYPE_CHECKING:
    from stripe import Price, Product

_EXPAND = list(EXPAND)


def make_product(client: StripeClient, project_id: str, product_id: str, name: str) -> Fetched[ProductFact]:
    """The product of this id, so that no retry and no race can make two; one that is there already is taken."""
    try:
        with our_errors():
            made = client.v1.products.create(
                {"id": product_id, "name": name, "metadata": {"billing_project_id": project_id}}
            )
    except Rejected as refusal:
        if refusal.reason != "resource_already_exists":
            raise
    else:
        return _product(made)
    known = fetch_product(client, product_id)
    if isinstance(known, Gone):
        raise Permanent("product_deleted", f"Stripe has deleted {product_id} for good: give the product another key")
    return known


def change_product(client: StripeClient, product_id: str, *, name: str, active: bool) -> Fetched[ProductFact]:
    return _update_product(client, product_id, {"name": name, "active": active})


def archive_product(client: StripeClient, product_id: str, name: str) -> Fetched[ProductFact]:
    """Sold no more; who holds it keeps it. One that Stripe never made, or has deleted, is as good as archived."""
    there = fetch_product(client, product_id)
    if isinstance(there, Gone):
        return Fetched(ProductFact(product_id, name, active=False), there.at)
    return _update_product(client, product_id, {"active": False})


def set_default_price(client: StripeClient, product_id: str, price_id: str) -> Fetched[ProductFact]:
    """Stripe archives no price that is its product's default."""
    return _update_product(client, product_id, {"default_price": price_id})


def make_price(
    client: StripeClient, product_id: str, lookup_key: str, money: Money, replaces: str | None
) -> Fetched[PriceFact]:
    """A new price that takes the lookup key from whichever has it. `replaces` is that one's id.

    The same call again within 24 h is answered by Stripe with the price it made; after that the key leads to it.
    """
    params = _price_params(product_id, lookup_key, money)
    key = derived_key("price", replaces or "none", _plain(params))
    return _price(create_once(key, lambda options: client.v1.prices.create(params, options)))


def archive_price(client: StripeClient, price_id: str) -> Fetched[PriceFact] | None:
    """Sold no more; who holds it keeps it. None: Stripe has deleted it, so nobody ever held it."""
    try:
        return _update_price(client, price_id, {"active": False})
    except Rejected as refusal:
        if not refusal.missing("id"):
            raise
        return None


def restore_price(client: StripeClient, price_id: str, lookup_key: str | None) -> Fetched[PriceFact]:
    """Sold, under this key (None: whichever it has)."""
    params: PriceUpdateParams = {"active": True}
    if lookup_key is not None:
        params["lookup_key"] = lookup_key
        params["transfer_lookup_key"] = True
    return _update_price(client, price_id, params)


def _update_product(client: StripeClient, product_id: str, params: ProductUpdateParams) -> Fetched[ProductFact]:
    with our_errors():
        return _product(client.v1.products.update(product_id, params))


def _update_price(client: StripeClient, price_id: str, params: PriceUpdateParams) -> Fetched[PriceFact]:
    with our_errors():
        return _price(client.v1.prices.update(price_id, {**params, "expand": _EXPAND}))


def _product(made: Product) -> Fetched[ProductFact]:
    said, at = _said(made, "product")
    return Fetched(read_product(said), at)


def _price(made: Price) -> Fetched[PriceFact]:
    said, at = _said(made, "price")
    return Fetched(read_price(said), at)


def _said(made: Product | Price, kind: str) -> tuple[Members, int]:
    """The answer as it came, with Stripe's clock."""
    response = made.last_response
    if response is None:
        raise TypeError(f"the SDK keeps no answer beside a {kind}: read what it sent in another way")
    said: Any = response.data
    return Members(said, kind), clock(response.headers)


def _price_params(product_id: str, lookup_key: str, money: Money) -> PriceCreateParams:
    params: PriceCreateParams = {
        "product": product_id,
        "lookup_key": lookup_key,
        "transfer_lookup_key": True,
        "currency": money.currency,
        "expand": _EXPAND,
    }
    if money.interval is not None:
        params["recurring"] = {"interval": money.interval, "interval_count": money.every}
    if money.tiers_mode is not None:
        params["billing_scheme"] = "tiered"
        params["tiers_mode"] = money.tiers_mode
        params["tiers"] = [_tier(tier) for tier in money.amount.tiers]
    else:
        params.update(_per_unit(money.amount))
    if money.options:
        params["currency_options"] = {currency: _per_unit(amount) for currency, amount in money.options}
    return params


def _per_unit(amount: Amount) -> Any:
    """`unit_amount`, or `unit_amount_decimal` where it has a fraction."""
    exact = whole(amount.per_unit)
    return {"unit_amount_decimal": amount.per_unit} if exact is None else {"unit_amount": exact}


def _tier(tier: Tier) -> PriceCreateParamsTier:
    exact, flat = whole(tier.unit_amount), whole(tier.flat_amount)
    params: PriceCreateParamsTier = {"up_to": "inf" if tier.up_to is None else tier.up_to}
    if exact is None:
        params["unit_amount_decimal"] = tier.unit_amount
    else:
        params["unit_amount"] = exact
    if flat is None:
        params["flat_amount_decimal"] = tier.flat_amount
    elif flat:
        params["flat_amount"] = flat
    return params


def _plain(params: PriceCreateParams) -> str:
    """The parameters as text: decimals have no place in JSON."""
    return repr(sorted(params.items()))
