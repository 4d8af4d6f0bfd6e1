"""What a body may hold: only what can be stored and told again gets in."""

import json
from typing import Any

import pytest

from billing.errors import Refused
from billing.http.body import DEEPEST, json_object
from billing.http.exchange import parse
from tests.support.wire import rest_event


def read(text: str | bytes) -> dict[str, Any]:
    return json_object(parse(rest_event("POST", "/x", body=text)))


def refused(text: str | bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        read(text)
    return caught.value


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "a\0b"])
def test_text_that_cannot_be_stored_is_pointed_at_wherever_it_is(text: str) -> None:
    document = {"a": [{"b/c": text}], "fine": "ü\n😀"}
    fault = refused(json.dumps(document))
    assert (fault.code, [field.pointer for field in fault.fields]) == ("invalid_request", ["/a/0/b~1c"])


def test_a_name_that_cannot_be_stored_is_pointed_at_by_its_parent() -> None:
    fault = refused(json.dumps({"a": {"b\0": 1}}))
    assert [field.pointer for field in fault.fields] == ["/a"]


def test_a_surrogate_pair_is_one_character() -> None:
    assert read(r'{"a": "\ud83d\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", b"\xff{}", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e400}', '{"a": ' + "9" * 5000 + "}"],
)
def test_what_is_no_json_object_of_finite_numbers_is_malformed(text: str | bytes) -> None:
    assert refused(text).code == "malformed_request"


def test_a_body_is_read_down_to_a_depth() -> None:
    assert read(nested(DEEPEST))
    assert refused(nested(DEEPEST + 1)).code == "malformed_request"
    assert refused(nested(5000)).code == "malformed_request"
