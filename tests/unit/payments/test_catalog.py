from concurrent.futures import ThreadPoolExecutor

from billing.payments.catalog import Money, ensure_price, ensure_product
from billing.payments.client import StripeClient
from infra.local.stripe_double.double import StripeDouble

MONTHLY = Money("usd", 900, "month")


def test_a_product_is_made_once_and_renamed(stripe: StripeClient) -> None:
    made = ensure_product(stripe, "notes", "pro", "Pro")
    again = ensure_product(stripe, "notes", "pro", "Pro")
    renamed = ensure_product(stripe, "notes", "pro", "Professional")

    assert made.fact == again.fact
    assert (renamed.fact.id, renamed.fact.name) == (made.fact.id, "Professional")
    assert len(stripe.v1.products.list().data) == 1


def test_racing_callers_make_one_product(stripe: StripeClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ensure_product(stripe, "notes", "pro", "Pro"), range(8)))
    assert {fetched.fact.id for fetched in made} == {"notes_pro"}
    assert len(stripe.v1.products.list().data) == 1


def test_equal_keys_of_two_projects_are_two_products(stripe: StripeClient) -> None:
    assert ensure_product(stripe, "a", "pro", "Pro").fact.id != ensure_product(stripe, "b", "pro", "Pro").fact.id


def test_a_price_is_made_once(stripe: StripeClient) -> None:
    product = ensure_product(stripe, "notes", "pro", "Pro").fact.id
    made = ensure_price(stripe, product, "notes_pro", MONTHLY)
    assert ensure_price(stripe, product, "notes_pro", MONTHLY).fact == made.fact
    assert len(stripe.v1.prices.list().data) == 1
    assert (made.fact.lookup_key, made.fact.unit_amount, made.fact.type) == ("notes_pro", 900, "recurring")


def test_a_one_time_price_has_no_interval(stripe: StripeClient) -> None:
    product = ensure_product(stripe, "notes", "life", "Lifetime").fact.id
    assert ensure_price(stripe, product, "notes_life", Money("usd", 19900)).fact.type == "one_time"


def test_other_money_takes_the_lookup_key_to_a_new_price_and_back(stripe: StripeClient) -> None:
    product = ensure_product(stripe, "notes", "pro", "Pro").fact.id
    first = ensure_price(stripe, product, "notes_pro", MONTHLY).fact
    second = ensure_price(stripe, product, "notes_pro", Money("usd", 1200, "month")).fact
    third = ensure_price(stripe, product, "notes_pro", MONTHLY).fact

    assert len({first.id, second.id, third.id}) == 3
    assert third.lookup_key == "notes_pro"
    assert stripe.v1.prices.retrieve(first.id).lookup_key is None
    assert stripe.v1.prices.retrieve(first.id).active


def test_a_retry_after_a_lost_answer_makes_no_second_price(double: StripeDouble, stripe: StripeClient) -> None:
    product = ensure_product(stripe, "notes", "pro", "Pro").fact.id
    double.control.add_fault("reset", match="POST /v1/prices", apply="after")
    ensure_price(stripe, product, "notes_pro", MONTHLY)
    assert len(stripe.v1.prices.list().data) == 1


def test_a_product_deleted_in_stripe_is_made_again(stripe: StripeClient) -> None:
    product = ensure_product(stripe, "notes", "pro", "Pro").fact.id
    stripe.v1.products.delete(product)
    assert ensure_product(stripe, "notes", "pro", "Pro").fact.active
