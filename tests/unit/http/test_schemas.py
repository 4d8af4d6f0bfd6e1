from typing import Any

import pytest

from billing.errors import Refused
from billing.http.body import pointer
from billing.http.schemas import CheckoutBody, PortalBody, checked, lines_of

GOOD: dict[str, Any] = {
    "user_id": "u-1",
    "price": "price_1",
    "success_url": "https://app.example/ok",
    "cancel_url": "https://app.example/no",
}


def faults(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Refused) as caught:
        lines_of(checked(CheckoutBody, document))
    assert caught.value.code == "invalid_request"
    return {fault.pointer: fault.detail for fault in caught.value.fields}


def without(*names: str, **members: Any) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name not in names} | members


def test_one_price_is_one_line() -> None:
    assert lines_of(checked(CheckoutBody, GOOD)) == [("/price", "price_1", None, 1)]


def test_a_lookup_key_and_a_quantity_are_one_line() -> None:
    body = checked(CheckoutBody, without("price", lookup_key="pro", quantity=5))
    assert lines_of(body) == [("/lookup_key", None, "pro", 5)]


def test_lines_keep_their_places() -> None:
    lines = [{"price": "price_1"}, {"lookup_key": "seats", "quantity": 3}]
    assert lines_of(checked(CheckoutBody, without("price", line_items=lines))) == [
        ("/line_items/0/price", "price_1", None, 1),
        ("/line_items/1/lookup_key", None, "seats", 3),
    ]


def test_every_missing_member_is_named() -> None:
    assert set(faults({})) == {"/user_id", "/success_url", "/cancel_url"}


def test_an_unknown_member_is_refused_by_name() -> None:
    assert "no such member" in faults({**GOOD, "metadata": {}})["/metadata"]
    assert set(faults(without("price", line_items=[{"price": "price_1", "amount": 1}]))) == {"/line_items/0/amount"}


@pytest.mark.parametrize("user_id", ["", "a" * 256, "a\nb", "a\0b", "\u202e", "\ud800", 7, None, ["u"]])
def test_a_user_id_is_1_to_255_printable_characters(user_id: object) -> None:
    assert set(faults({**GOOD, "user_id": user_id})) == {"/user_id"}


@pytest.mark.parametrize("user_id", ["u", "a" * 255, "Zoë Åström", "用户-1", "someone@example.com", "a b/c?d#e"])
def test_a_user_id_is_opaque(user_id: str) -> None:
    assert checked(CheckoutBody, {**GOOD, "user_id": user_id}).user_id == user_id


@pytest.mark.parametrize("quantity", [0, -1, 1_000_000, 1.0, "2", True])
def test_a_quantity_is_a_whole_number_from_one(quantity: object) -> None:
    assert set(faults({**GOOD, "quantity": quantity})) == {"/quantity"}


@pytest.mark.parametrize(
    "email", ["nobody", "a@b", "a b@c.example", "@c.example", "a@c.example\n", "x" * 250 + "@c.de"]
)
def test_what_is_no_email_address_is_refused_without_quoting_it(email: str) -> None:
    told = faults({**GOOD, "email": email})
    assert set(told) == {"/email"}
    assert email not in told["/email"]


@pytest.mark.parametrize("code", ["SUMMER", "promo_", "promo_a b", ""])
def test_a_promotion_code_is_given_by_its_id(code: str) -> None:
    assert set(faults({**GOOD, "promotion_code": code})) == {"/promotion_code"}


@pytest.mark.parametrize("days", [731, -1, "7"])
def test_a_trial_is_none_or_up_to_730_days(days: object) -> None:
    assert set(faults({**GOOD, "trial_days": days})) == {"/trial_days"}


def test_something_to_sell_is_named_exactly_once() -> None:
    assert set(faults(without("price"))) == {"/price"}
    assert set(faults({**GOOD, "lookup_key": "pro"})) == {"/price", "/lookup_key"}
    assert set(faults({**GOOD, "line_items": [{"price": "price_1"}]})) == {"/price", "/line_items"}


def test_each_line_names_its_price_exactly_once() -> None:
    lines = [{"price": "price_1"}, {}, {"price": "price_1", "lookup_key": "pro"}]
    assert set(faults(without("price", line_items=lines))) == {"/line_items/1", "/line_items/2"}


def test_lines_are_1_to_20_and_have_their_own_quantities() -> None:
    assert set(faults(without("price", line_items=[]))) == {"/line_items"}
    assert set(faults(without("price", line_items=[{"price": "price_1"}] * 21))) == {"/line_items"}
    assert set(faults(without("price", line_items=[{"price": "price_1"}], quantity=2))) == {"/quantity"}


@pytest.mark.parametrize("name", ["allow_multiple", "allow_promotion_codes"])
def test_a_flag_is_true_or_false_only(name: str) -> None:
    assert set(faults({**GOOD, name: "true"})) == {f"/{name}"}


def test_a_portal_body_needs_a_user_and_a_way_back() -> None:
    with pytest.raises(Refused) as caught:
        checked(PortalBody, {"project_id": 3, "x": 1})
    assert {fault.pointer for fault in caught.value.fields} == {"/user_id", "/return_url", "/project_id", "/x"}


def test_pointers_escape_what_the_rfc_says() -> None:
    assert pointer(("a/b", 0, "c~d")) == "/a~1b/0/c~0d"
    assert pointer(()) == ""
