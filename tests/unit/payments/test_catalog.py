from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from billing.domain.facts import PriceFact, ProductFact
from billing.domain.prices import Amount, Money, Tier
from billing.payments.catalog import (
    archive_price,
    archive_product,
    change_product,
    make_price,
    make_product,
    restore_price,
    set_default_price,
)
from billing.payments.client import Rejected, StripeClient
from billing.payments.listings import prices_by_lookup_key, prices_of_product, products_by_id, products_of_project
from billing.payments.objects import Fetched, fetch_price
from infra.local.stripe_double.double import StripeDouble

MONTHLY = Money("usd", Amount(Decimal(900)), "month")
TIERS = (Tier(10, Decimal(500)), Tier(100, Decimal("0.5"), Decimal(200)), Tier(None, Decimal(300)))
KINDS_OF_MONEY = {
    "monthly": MONTHLY,
    "once": Money("jpy", Amount(Decimal(19900))),
    "every three months": Money("eur", Amount(Decimal(2500)), "month", 3),
    "free": Money("usd", Amount(Decimal(0)), "year"),
    "a fraction of a cent": Money("usd", Amount(Decimal("0.05")), "month"),
    "graduated": Money("usd", Amount(tiers=TIERS), "month", tiers_mode="graduated"),
    "volume": Money("usd", Amount(tiers=TIERS), "week", 2, tiers_mode="volume"),
    "two more currencies": replace(MONTHLY, options=(("eur", Amount(Decimal(850))), ("jpy", Amount(Decimal("99.5"))))),
}


def product_of(stripe: StripeClient, product_id: str = "notes_pro") -> str:
    return make_product(stripe, "notes", product_id, "Pro").fact.id


def test_a_product_is_made_once_and_renamed(stripe: StripeClient) -> None:
    made = make_product(stripe, "notes", "notes_pro", "Pro")
    again = make_product(stripe, "notes", "notes_pro", "Pro")
    renamed = change_product(stripe, "notes_pro", name="Professional", active=True)

    assert made.fact == again.fact
    assert (renamed.fact.id, renamed.fact.name) == (made.fact.id, "Professional")
    assert len(stripe.v1.products.list().data) == 1


def test_racing_callers_make_one_product(stripe: StripeClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: product_of(stripe), range(8)))
    assert set(made) == {"notes_pro"}
    assert len(stripe.v1.products.list().data) == 1


@pytest.mark.parametrize("kind", KINDS_OF_MONEY)
def test_a_price_asks_the_very_money_it_was_made_with(stripe: StripeClient, kind: str) -> None:
    money = KINDS_OF_MONEY[kind]
    made = make_price(stripe, product_of(stripe), "key", money, None)
    fetched = fetch_price(stripe, made.fact.id)

    assert made.fact.money == money
    assert not made.fact.incomplete
    assert isinstance(fetched, Fetched)
    assert fetched.fact == made.fact == prices_by_lookup_key(stripe, ["key"])["key"].fact


def test_a_price_takes_its_key_from_the_one_that_has_it(stripe: StripeClient) -> None:
    product = product_of(stripe)
    first = make_price(stripe, product, "pro", MONTHLY, None).fact
    second = make_price(stripe, product, "pro", KINDS_OF_MONEY["free"], first.id).fact
    third = make_price(stripe, product, "pro", MONTHLY, second.id).fact

    assert len({first.id, second.id, third.id}) == 3
    assert prices_by_lookup_key(stripe, ["pro"])["pro"].fact.id == third.id
    assert stripe.v1.prices.retrieve(first.id).lookup_key is None
    assert stripe.v1.prices.retrieve(first.id).active


def test_a_retry_after_a_lost_answer_makes_no_second_price(double: StripeDouble, stripe: StripeClient) -> None:
    product = product_of(stripe)
    double.control.add_fault("reset", match="POST /v1/prices", apply="after")
    make_price(stripe, product, "pro", MONTHLY, None)
    assert len(stripe.v1.prices.list().data) == 1


def test_a_price_is_archived_and_restored(stripe: StripeClient) -> None:
    price = make_price(stripe, product_of(stripe), "pro", MONTHLY, None).fact
    archived = archive_price(stripe, price.id)
    assert archived is not None
    assert not archived.fact.active
    restored = restore_price(stripe, price.id, "professional").fact
    assert (restored.active, restored.lookup_key) == (True, "professional")


def test_a_default_price_is_archived_once_another_has_its_place(stripe: StripeClient) -> None:
    product = product_of(stripe)
    old, new = (make_price(stripe, product, key, MONTHLY, None).fact for key in ("old", "new"))
    set_default_price(stripe, product, old.id)
    with pytest.raises(Rejected):
        archive_price(stripe, old.id)

    set_default_price(stripe, product, new.id)

    assert archive_price(stripe, old.id) is not None


def test_what_stripe_does_not_have_is_as_good_as_archived(stripe: StripeClient) -> None:
    assert archive_price(stripe, "price_gone") is None
    assert archive_product(stripe, "notes_gone", "Gone").fact == ProductFact("notes_gone", "Gone", active=False)


def test_a_product_deleted_in_stripe_is_made_again(stripe: StripeClient) -> None:
    stripe.v1.products.delete(product_of(stripe))
    assert make_product(stripe, "notes", "notes_pro", "Pro").fact.active


# --- lists -----------------------------------------------------------------------------------------------------------


def test_more_prices_than_one_question_takes_are_found_by_their_keys(stripe: StripeClient) -> None:
    product = product_of(stripe)
    made: dict[str, PriceFact] = {
        key: make_price(stripe, product, key, MONTHLY, None).fact for key in (f"key_{n}" for n in range(12))
    }
    found = prices_by_lookup_key(stripe, [*made, "nobody"])
    assert {key: price.fact for key, price in found.items()} == made


def test_a_product_lists_all_its_prices_and_no_others(stripe: StripeClient) -> None:
    one, other = product_of(stripe), product_of(stripe, "notes_team")
    made = {make_price(stripe, one, key, MONTHLY, None).fact.id for key in ("a", "b")}
    archive_price(stripe, min(made))
    make_price(stripe, other, "c", MONTHLY, None)
    assert {price.fact.id for price in prices_of_product(stripe, one)} == made


def test_products_are_found_by_id_and_by_what_their_metadata_says(stripe: StripeClient) -> None:
    stripe.v1.products.create(
        {"id": "old", "name": "Old", "metadata": {"project_id": "notes", "feature_codes": "export, seats,,export"}}
    )
    stripe.v1.products.create({"id": "other", "name": "Other", "metadata": {"project_id": "tasks"}})
    by_id = products_by_id(stripe, ["old", "gone"])
    by_metadata = list(products_of_project(stripe, "notes"))

    assert list(by_id.values()) == by_metadata
    assert [(found.fetched.fact.id, found.feature_codes) for found in by_metadata] == [("old", ("export", "seats"))]
