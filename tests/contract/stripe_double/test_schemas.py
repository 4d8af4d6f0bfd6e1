from typing import Any

import pytest

from infra.local.stripe_double.schemas import object_schema, params_schema
from infra.local.stripe_double.strictness import complaints, kinds_in
from infra.local.stripe_double.templates import new

REFUND = new("refund", id="re_1", amount=100, created=1, currency="usd")


def definition(schema: dict[str, Any]) -> Any:
    return schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]


def test_a_well_formed_object_passes() -> None:
    assert complaints(REFUND) == []


def test_an_unknown_field_is_found() -> None:
    assert "colour" in complaints({**REFUND, "colour": "red"})[0]


def test_an_absent_field_is_found() -> None:
    assert "currency" in complaints({name: value for name, value in REFUND.items() if name != "currency"})[0]


def test_a_wrong_type_is_found() -> None:
    assert complaints({**REFUND, "amount": "100"})[0].startswith("refund amount:")


def test_a_fault_deep_inside_is_found() -> None:
    event = new("event", id="evt_1", created=1, pending_webhooks=0, type="refund.created")
    wrapped = {**event, "data": {"object": {**REFUND, "colour": "red"}}}
    assert "colour" in complaints(wrapped)[0]
    assert kinds_in(wrapped) == {"event", "refund"}


def test_open_enumerations_are_closed() -> None:
    status = definition(object_schema("subscription"))["properties"]["status"]
    assert "active" in status["enum"]


def test_an_expandable_field_is_an_id_or_the_object() -> None:
    customer = definition(object_schema("subscription"))["properties"]["customer"]
    assert customer == {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/customer"}]}


def test_parameters_of_equal_names_are_kept_apart() -> None:
    checkout = definition(params_schema("checkout.SessionCreateParams"))["properties"]
    portal = definition(params_schema("billing_portal.SessionCreateParams"))["properties"]
    assert ("line_items" in checkout, "flow_data" in portal) == (True, True)
    assert ("flow_data" in checkout, "line_items" in portal) == (False, False)


def test_options_of_the_client_are_no_parameters() -> None:
    assert "idempotency_key" not in definition(params_schema("CustomerCreateParams"))["properties"]


def test_a_template_demands_what_only_its_maker_can_know() -> None:
    with pytest.raises(ValueError, match="amount"):
        new("refund", id="re_1", created=1, currency="usd")


def test_a_template_refuses_fields_that_stripe_does_not_have() -> None:
    with pytest.raises(ValueError, match="colour"):
        new("refund", id="re_1", amount=1, created=1, currency="usd", colour="red")
