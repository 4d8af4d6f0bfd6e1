"""Turns what a caller asks to sell into an order of this project's own prices, or says all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from billing.domain.origins import fault_of_redirect
from billing.errors import FieldFault, Refused
from billing.payments.sessions import Mode, Order, OrderLine
from billing.store import catalog, customers, subscriptions
from billing.store.catalog import SoldPrice
from billing.store.connection import Connection

PORTAL_ROUTE = "/api/v1/portal"


@dataclass(frozen=True, slots=True)
class Seller:
    """The project of the caller's key."""

    project_id: str
    namespace: str
    allowed_origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WantedLine:
    """A price by its id or its lookup key, exactly one of them. `pointer` says where in the body it was named."""

    pointer: str
    price: str | None
    lookup_key: str | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller asks to sell to whom, well formed but unchecked against the catalog.

    `trial_days` None: the prices' own; 0: none.
    """

    user_id: str
    lines: tuple[WantedLine, ...]
    success_url: str
    cancel_url: str
    email: str | None = None
    trial_days: int | None = None
    promotion_code: str | None = None
    allow_promotion_codes: bool = False
    allow_multiple: bool = False


def price_order(connection: Connection, seller: Seller, wanted: Wanted) -> Order:
    """Raises Refused: `url_not_allowed`, `price_not_found`, `mixed_prices`, `invalid_request`, `already_subscribed`."""
    _check_urls(seller, wanted)
    prices = _prices(connection, seller.project_id, wanted.lines)
    mode = _mode(prices, wanted)
    if mode == "subscription" and not wanted.allow_multiple:
        _refuse_second_subscription(connection, seller, wanted.user_id, prices)
    lines = zip(prices, wanted.lines, strict=True)
    return Order(
        project_id=seller.project_id,
        user_id=wanted.user_id,
        mode=mode,
        lines=tuple(OrderLine(price.id, line.quantity) for price, line in lines),
        success_url=wanted.success_url,
        cancel_url=wanted.cancel_url,
        trial_days=_trial_days(prices, wanted),
        promotion_code=wanted.promotion_code,
        allow_promotion_codes=wanted.allow_promotion_codes,
    )


def _check_urls(seller: Seller, wanted: Wanted) -> None:
    found = (
        ("/success_url", fault_of_redirect(wanted.success_url, seller.allowed_origins)),
        ("/cancel_url", fault_of_redirect(wanted.cancel_url, seller.allowed_origins)),
    )
    faults = tuple(FieldFault(pointer, fault) for pointer, fault in found if fault is not None)
    if faults:
        raise Refused("url_not_allowed", "Use URLs of the project's allowed origins.", fields=faults)


def _prices(connection: Connection, project_id: str, lines: tuple[WantedLine, ...]) -> list[SoldPrice]:
    """The price of each line. Unknown, archived and another project's prices look alike."""
    by_id = catalog.sold_prices(connection, project_id, [line.price for line in lines if line.price is not None])
    prices: list[SoldPrice] = []
    faults: list[FieldFault] = []
    for line in lines:
        if line.price is not None:
            price = by_id.get(line.price)
        else:
            price = catalog.price_by_lookup_key(connection, project_id, line.lookup_key or "")
        if price is None or not price.sellable:
            faults.append(FieldFault(line.pointer, "no active price of this project"))
        else:
            prices.append(price)
    if faults:
        raise Refused("price_not_found", "Use active prices of this project.", fields=tuple(faults))
    return prices


def _mode(prices: list[SoldPrice], wanted: Wanted) -> Mode:
    if len({price.currency for price in prices}) > 1:
        raise _mixed("all lines of one checkout are in one currency")
    kinds = {price.type for price in prices}
    if len(kinds) > 1:
        raise _mixed("recurring and one-time prices are sold in checkouts of their own")
    if kinds == {"recurring"}:
        return "subscription"
    if wanted.trial_days:
        fault = FieldFault("/trial_days", "only recurring prices have trials")
        raise Refused("invalid_request", "Leave trial_days out for one-time prices.", fields=(fault,))
    return "payment"


def _trial_days(prices: list[SoldPrice], wanted: Wanted) -> int | None:
    """As asked, else the shortest trial of the prices: one without a trial is paid from the first day."""
    asked = min(price.trial_days or 0 for price in prices) if wanted.trial_days is None else wanted.trial_days
    return asked or None


def _mixed(detail: str) -> Refused:
    return Refused("mixed_prices", "Split it into several checkouts.", fields=(FieldFault("/line_items", detail),))


def _refuse_second_subscription(connection: Connection, seller: Seller, user_id: str, prices: list[SoldPrice]) -> None:
    customer = customers.find(connection, seller.namespace, user_id)
    if customer is None:
        return
    products = [price.product_id for price in prices]
    if subscriptions.live_subscription_of(connection, customer.id, products) is not None:
        raise Refused(
            "already_subscribed",
            "The user has a live subscription to this product: change it in the portal, or send allow_multiple.",
            extra={"portal": PORTAL_ROUTE},
        )
