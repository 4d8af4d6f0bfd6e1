"""What subscribers of the bus are promised is what the code publishes."""

import json

import jsonschema_rs
import pytest

from infra.event_schema import DOCUMENT, schema, written

EVENT = {
    "project_id": "notes",
    "user_id": "ann",
    "version": 3,
    "as_of": "2026-03-01T00:00:00Z",
    "entitlements": [],
    "stale": False,
    "cause": {"kind": "event", "id": "evt_1"},
    "truncated": False,
}


def test_the_schema_is_what_the_code_says() -> None:
    """After a change of `functions.entitlements.operations`: make docs."""
    assert json.loads(DOCUMENT.read_text()) == json.loads(written(schema()))


def test_a_user_who_holds_nothing_is_an_event() -> None:
    jsonschema_rs.validate(schema(), EVENT)


@pytest.mark.parametrize("member", sorted(EVENT))
def test_every_member_is_promised(member: str) -> None:
    event = {name: value for name, value in EVENT.items() if name != member}

    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema(), event)
