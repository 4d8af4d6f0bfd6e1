"""A page of a list costs what it holds, however long the list is and wherever the page lies."""

from typing import Any

import pytest
import stripe

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.lists import page_of
from infra.local.stripe_double.templates import Obj

MANY = 3_000


def account_with_products(count: int) -> Account:
    account = Account(seed=1)
    for n in range(count):
        account.create("product", id=f"prod_{n}", name="One", type="service", updated=0)
    return account


def looked_at(account: Account, **params: Any) -> tuple[list[str], int]:
    """The ids of a page, and how many objects were looked at for it."""
    seen: list[str] = []

    def fits(obj: Obj) -> bool:
        seen.append(obj["id"])
        return True

    shown = page_of(account, "product", "/v1/products", {"limit": 3, **params}, fits)
    return [obj["id"] for obj in shown["data"]], len(seen)


@pytest.mark.parametrize(
    ("cursor", "ids"),
    [
        ({}, ["prod_2999", "prod_2998", "prod_2997"]),
        ({"starting_after": "prod_1500"}, ["prod_1499", "prod_1498", "prod_1497"]),
        ({"ending_before": "prod_1500"}, ["prod_1503", "prod_1502", "prod_1501"]),
    ],
)
def test_a_page_looks_at_one_more_than_it_holds(cursor: Any, ids: list[str]) -> None:
    assert looked_at(account_with_products(MANY), **cursor) == (ids, 4)


def test_pages_go_on_over_what_was_removed_meanwhile() -> None:
    account = account_with_products(6)
    account.remove(account.get("product", "prod_3"))
    assert looked_at(account, starting_after="prod_4")[0] == ["prod_2", "prod_1", "prod_0"]
    assert looked_at(account, ending_before="prod_2")[0] == ["prod_5", "prod_4"]


def test_what_is_removed_and_made_again_is_the_newest() -> None:
    account = account_with_products(3)
    again = account.get("product", "prod_0")
    account.remove(again)
    account.put(again)
    assert looked_at(account)[0] == ["prod_0", "prod_2", "prod_1"]


def test_a_cursor_of_another_kind_is_refused(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.products.list({"starting_after": customer})
    assert (refused.value.code, refused.value.param) == ("resource_missing", "starting_after")
