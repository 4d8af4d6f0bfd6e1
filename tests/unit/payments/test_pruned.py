"""Of a list's page only what is read is kept, and whatever is wrong with it is told as ever."""

import json
from typing import Any

import pytest

from billing.payments.client import StripeClient
from billing.payments.members import Members
from billing.payments.mirrored import COLLECTIONS, read_mirrored
from billing.payments.objects import Page
from billing.payments.pruned import PRUNED
from infra.local.stripe_double.double import StripeDouble

Place = tuple[str | int, ...]


class Watched(dict[str, Any]):
    """A JSON object that notes in `seen` the places that are asked for, in itself and within."""

    def __init__(self, members: dict[str, Any], seen: set[Place], at: Place = ()) -> None:
        super().__init__(members)
        self._seen = seen
        self._at = at

    def get(self, member: str, default: Any = None) -> Any:
        self._seen.add((*self._at, member))
        return self._watched(super().get(member, default), (*self._at, member))

    def _watched(self, value: Any, at: Place) -> Any:
        if isinstance(value, list):
            return [self._watched(entry, (*at, number)) for number, entry in enumerate(value)]
        return Watched(value, self._seen, at) if isinstance(value, dict) else value


def value_at(document: Any, place: Place) -> Any:
    for step in place:
        document = document[step] if isinstance(step, int) else document.get(step)
    return document


@pytest.fixture
def subscriber(double: StripeDouble, stripe: StripeClient) -> str:
    user = stripe.v1.customers.create({"metadata": {"billing_namespace": "notes", "billing_user_id": "ann"}}).id
    price = stripe.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Pro", "metadata": {"billing_project_id": "notes"}},
        }
    ).id
    session = stripe.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": user,
            "line_items": [{"price": price, "quantity": 2}],
            "success_url": "https://app.example/",
        }
    ).id
    double.control.pay_checkout(session)
    return user


@pytest.mark.parametrize("kind", PRUNED)
def test_all_that_is_read_of_an_object_is_kept(stripe: StripeClient, subscriber: str, kind: str) -> None:
    page = stripe.raw_request("get", COLLECTIONS[kind].path).data
    seen: set[Place] = set()
    read_mirrored(stripe, kind, Page((Members(Watched(page["data"][0], seen), kind),), 0, None))

    [kept] = PRUNED[kind](json.dumps(page).encode())["data"]

    assert seen
    assert {place: value_at(kept, place) is None for place in seen} == {
        place: value_at(page["data"][0], place) is None for place in seen
    }


def test_what_nobody_reads_is_left_out(stripe: StripeClient, subscriber: str) -> None:
    whole = json.dumps(stripe.raw_request("get", "/v1/subscriptions").data)
    assert len(json.dumps(PRUNED["subscription"](whole))) < len(whole) / 4


@pytest.mark.parametrize(
    "page",
    [
        {"data": [{"id": "sub_1", "items": "none"}], "has_more": False},
        {"data": [{"id": "sub_1", "items": {"data": [{"price": "price_1"}], "has_more": False}}], "has_more": False},
        {"data": [17], "has_more": True},
        {"data": {"id": "sub_1"}},
        [],
        {"data": [{"id": "sub_\ud800"}]},
        {"data": [{"id": 10**40}]},
    ],
)
def test_a_page_in_another_shape_is_read_whole(page: Any) -> None:
    assert PRUNED["subscription"](json.dumps(page).encode()) == page


def test_what_is_no_json_is_a_value_error() -> None:
    for body in (b"<html>", b"", b"\xff", b'{"data": ['):
        with pytest.raises(ValueError, match=r"."):
            PRUNED["customer"](body)
