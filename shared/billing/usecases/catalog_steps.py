"""What a plan does in Stripe, step by step, each safe to repeat: new prices first, then the old ones are archived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from billing.domain.catalog_changes import Match, ProductState
from billing.domain.facts import PriceFact, ProductFact
from billing.errors import FieldFault, Permanent, Refused
from billing.payments import catalog as remote
from billing.payments.client import StripeClient
from billing.payments.objects import Fetched
from billing.usecases.plan_catalog import Plan

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Made:
    """What Stripe has now, by id; `ids` are the wanted prices', in the order of the document; `deleted` it has not."""

    products: dict[str, Fetched[ProductFact]] = field(default_factory=dict)
    prices: dict[str, Fetched[PriceFact]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def make_in_stripe(stripe: StripeClient, plan: Plan, go_on: Callable[[], None]) -> Made:
    """Does what is not done yet. `go_on` is called before each question to Stripe, and raises where it is time to stop.

    Raises Transient, Refused (`catalog_refused`) with where in the document Stripe's no belongs.
    """
    made = Made(prices=dict(plan.prices))
    left = iter(plan.difference.matches)
    for place, product in enumerate(plan.wanted.products):
        at: Path = ("products", place)
        with _told_at(at):
            made.products[product.id] = _product(stripe, plan, product, go_on)
        for number in range(len(product.prices)):
            with _told_at((*at, "prices", number)):
                made.ids.append(_price(stripe, next(left), made, go_on))
    _archive_prices(stripe, plan, made, go_on)
    _archive_products(stripe, plan, made, go_on)
    return made


@contextmanager
def _told_at(path: Path) -> Iterator[None]:
    """Stripe's refusal in terms of the document."""
    try:
        yield
    except Permanent as refusal:
        fault = FieldFault.at(path, refusal.detail)
        raise Refused(
            "catalog_refused", "Mend it and apply again: what is done stays done.", fields=(fault,)
        ) from refusal


def _product(stripe: StripeClient, plan: Plan, wanted: ProductState, go_on: Callable[[], None]) -> Fetched[ProductFact]:
    listed = plan.listed.get(wanted.id)
    if listed is None:
        go_on()
        there = remote.make_product(stripe, plan.project.id, wanted.id, wanted.name)
    else:
        there = listed.fetched
    # archiving comes last: a price cannot be sold without its product
    active = there.fact.active or wanted.active
    if (there.fact.name, there.fact.active) == (wanted.name, active):
        return there
    go_on()
    return remote.change_product(stripe, wanted.id, name=wanted.name, active=active)


def _price(stripe: StripeClient, found: Match, made: Made, go_on: Callable[[], None]) -> str:
    wanted, same = found.wanted, found.same
    if same is None:
        if wanted.money is None or wanted.lookup_key is None:
            raise TypeError("a price without money or key is refused by faults_beside")
        go_on()
        before = None if found.replaced is None else found.replaced.id
        price = remote.make_price(stripe, wanted.product_id, wanted.lookup_key, wanted.money, before)
    else:
        price_id, key = str(same.id), wanted.lookup_key
        named = key is None or key == same.lookup_key
        if not wanted.active or (same.active and named):
            return price_id
        go_on()
        price = remote.restore_price(stripe, price_id, None if named else key)
    made.prices[price.fact.id] = price
    return price.fact.id


def _archive_prices(stripe: StripeClient, plan: Plan, made: Made, go_on: Callable[[], None]) -> None:
    unsold = [
        str(found.same.id)
        for found in plan.difference.matches
        if found.same is not None and found.same.active and not found.wanted.active
    ]
    defaults = {listed.default_price: product_id for product_id, listed in plan.listed.items() if listed.default_price}
    for price_id in (*plan.difference.archived_prices, *unsold):
        with _told_at(("products",)):
            if price_id in defaults:
                _replace_default(stripe, plan, made, defaults[price_id], go_on)
            go_on()
            archived = remote.archive_price(stripe, price_id)
            if archived is None:
                made.deleted.append(price_id)
            else:
                made.prices[price_id] = archived


def _replace_default(stripe: StripeClient, plan: Plan, made: Made, product_id: str, go_on: Callable[[], None]) -> None:
    """Stripe archives no default price: the product's first that is sold takes its place."""
    wanted = zip(plan.difference.matches, made.ids, strict=True)
    others = [i for found, i in wanted if found.wanted.product_id == product_id and found.wanted.active]
    if others:
        go_on()
        made.products[product_id] = remote.set_default_price(stripe, product_id, others[0])


def _archive_products(stripe: StripeClient, plan: Plan, made: Made, go_on: Callable[[], None]) -> None:
    names = {product.id: product.name for product in (*plan.present.products, *plan.wanted.products)}
    unsold = [p.id for p in plan.wanted.products if not p.active and made.products[p.id].fact.active]
    for product_id in (*plan.difference.archived_products, *unsold):
        with _told_at(("products",)):
            go_on()
            made.products[product_id] = remote.archive_product(stripe, product_id, names[product_id])
