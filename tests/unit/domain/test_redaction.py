"""What operators see of an event tells them what happened, and nothing of the person it happened to."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.domain.redaction import LARGEST, REDACTED, payload_of, redacted

SAMPLES = sorted((Path(__file__).parents[3] / "events/stripe").glob("*.json"))

CANARIES = {
    "email": "ann.canary@example.com",
    "name": "Ann Canary",
    "phone": "+15550100",
    "line1": "12 Canary Street",
    "postal_code": "CA 94107",
    "city": "Canaryville",
    "last4": "4242",
    "fingerprint": "Xt5EWLLDS7FJjR1c",
    "exp_month": 11,
    "exp_year": 2031,
    "description": "Ann's canary",
    "hosted_invoice_url": "https://pay.example/canary",
    "success_url": "https://notes.example/?user=canary",
    "client_secret": "pi_1CANARY_secret_1CANARY",
    "client_reference_id": "canary@example.com",
    "statement_descriptor": "CANARY",
    "tax_id": "123456789",
    "purchase_ip": "203.0.113.9",
    "idempotency_key": "customer:notes:canary",
    "comment": "Canary says no",
    "date_of_birth": 19900101,
}


def charge(**members: Any) -> dict[str, Any]:
    subject = {
        "id": "ch_1m095fd6CVuCFALaR0lCTzmk",
        "object": "charge",
        "amount": 900,
        "currency": "usd",
        "status": "succeeded",
        "customer": "cus_gc7oRpZKskSeoI",
        "created": 1795452230,
        "paid": True,
        "failure_code": None,
        **members,
    }
    return {"id": "evt_1hBPCqKAWG97Toh3", "object": "event", "type": "charge.refunded", "data": {"object": subject}}


def shown(document: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = redacted(document)["data"]["object"]
    return members


# --- what stays ----------------------------------------------------------------------------------------------------


def test_ids_types_statuses_amounts_currencies_instants_and_flags_stay() -> None:
    assert redacted(charge()) == charge()


def test_a_subscription_stays_readable() -> None:
    item = {
        "id": "si_TgW5qNd3h4940s",
        "quantity": 3,
        "current_period_end": 1769564718,
        "price": {"id": "price_1Siwm1QEUxc7vavP", "unit_amount_decimal": "28800.5", "recurring": {"interval": "month"}},
    }
    members = {"cancel_at_period_end": False, "trial_end": None, "items": {"object": "list", "data": [item]}}
    assert redacted(members) == members


def test_the_ids_of_our_products_stay_though_they_are_no_stripe_ids() -> None:
    assert redacted({"object": "product", "id": "notes_pro"}) == {"object": "product", "id": "notes_pro"}
    assert redacted({"object": "price", "product": "notes_pro"})["product"] == "notes_pro"
    assert redacted({"object": "customer", "id": "notes_pro"})["id"] == REDACTED


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_keeps_what_an_operator_looks_for(sample: Path) -> None:
    event = json.loads(sample.read_text())
    told = redacted(event)
    kept = ("id", "object", "type", "created", "livemode", "api_version")
    assert {name: told[name] for name in kept} == {name: event[name] for name in kept}
    subject = event["data"]["object"]
    for name in {"object", "status", "currency", "amount", "cancel_at", "mode", "payment_status"} & subject.keys():
        assert told["data"]["object"][name] == subject[name]


# --- what does not -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", CANARIES)
@pytest.mark.parametrize("holder", ["{}", '{"billing_details": {}}', '{"customer_details": {"address": {}}}'])
def test_nothing_personal_is_shown_however_deep_it_lies(member: str, holder: str) -> None:
    document = json.loads(holder)
    inmost = document
    while inmost:
        [inmost] = inmost.values()
    inmost[member] = CANARIES[member]

    told = json.dumps(redacted(charge(**document)))

    assert str(CANARIES[member]) not in told
    assert REDACTED in told


def test_birthdays_and_cards_are_no_amounts() -> None:
    dob, card = {"day": 1, "month": 2, "year": 1990}, {"exp_month": 11, "exp_year": 2031, "last4": "4242"}
    assert shown(charge(dob=dob))["dob"] == dict.fromkeys(dob, REDACTED)
    assert shown(charge(card=card))["card"] == dict.fromkeys(card, REDACTED)


@pytest.mark.parametrize("member", ["metadata", "transfer_metadata"])
def test_metadata_is_hidden_whole_names_too(member: str) -> None:
    assert shown(charge(**{member: {"ann.canary@example.com": "cus_gc7oRpZKskSeoI"}}))[member] == REDACTED
    assert shown(charge(**{member: {}}))[member] == {}


def test_a_member_that_somebody_named_is_shown_as_a_number() -> None:
    told = redacted({"Ann Canary": 1, "ann.canary@example.com": {"amount": 5}, "amount": 7})
    assert told == {f"{REDACTED} 1": REDACTED, f"{REDACTED} 2": {"amount": 5}, "amount": 7}


def test_a_word_of_stripes_is_a_word_and_no_sentence() -> None:
    assert shown(charge(status="Ann has paid"))["status"] == REDACTED
    assert shown(charge(reason="fraudulent"))["reason"] == "fraudulent"


TEXTS = st.sampled_from(sorted({str(value) for value in CANARIES.values() if not str(value).isdigit()}))
NAMES = st.sampled_from(
    ["id", "object", "type", "status", "amount", "currency", "customer", "product", "created", "data", "reason", "url"]
)
DOCUMENTS = st.dictionaries(
    NAMES | TEXTS | st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=4),
        max_leaves=25,
    ),
    max_size=6,
)


@given(DOCUMENTS)
@example({"object": {"object": "Ann Canary"}, "id": ["ann.canary@example.com"]})
def test_no_canary_comes_out_of_any_document(document: dict[str, Any]) -> None:
    told = json.dumps(redacted(document), allow_nan=False)
    assert "anary" not in told
    assert not any(str(value) in told for value in CANARIES.values() if isinstance(value, str) and not value.isdigit())


@given(DOCUMENTS)
def test_the_structure_stays_and_redacting_again_changes_nothing(document: dict[str, Any]) -> None:
    told = redacted(document)
    assert shape(told) == shape(document)
    assert redacted(told) == told


def shape(value: object) -> object:
    if isinstance(value, dict):
        return [shape(inner) for inner in value.values()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return value if value is None or isinstance(value, bool) else "something"


# --- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[]", b"7", b'{"amount": NaN}', b'{"a":' * 30_000])
def test_a_body_that_is_no_json_object_has_its_size_and_digest_told(body: bytes) -> None:
    told = payload_of(body)
    assert (told.document, told.size, told.sha256) == (None, len(body), hashlib.sha256(body).hexdigest())


def test_numbers_that_json_cannot_say_are_hidden() -> None:
    assert payload_of(b'{"amount": 1e999}').document == {"amount": REDACTED}


def test_a_body_nested_deeper_than_any_of_stripes_is_cut() -> None:
    told = payload_of(b'{"data":' * 300 + b'"Ann Canary"' + b"}" * 300)
    assert told.document is not None
    assert "Canary" not in json.dumps(told.document)


def test_too_large_a_body_is_only_measured() -> None:
    body = b'{"amount": 1' + b" " * LARGEST + b"}"
    assert payload_of(body).document is None
    assert payload_of(body).size > LARGEST
