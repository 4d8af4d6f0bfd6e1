"""Path parameters as the functions see them, whichever front sent them; and cursors, which come back as they went."""

import base64
import json

import pytest

from billing.errors import Refused
from billing.http.app import path_parameter
from billing.http.exchange import parse
from billing.http.operations import Operation
from billing.http.paging import cursor_of, read_cursor
from tests.support.wire import rest_event


@pytest.mark.parametrize(
    ("sent", "user_id"), [("a%2Fb", "a/b"), ("a%252Fb", "a%2Fb"), ("100%25", "100%"), ("a+b", "a+b")]
)
def test_a_rest_api_leaves_decoding_to_the_function(sent: str, user_id: str) -> None:
    assert path_parameter(parse(rest_event("GET", "/{user_id}", path={"user_id": sent})), "user_id") == user_id


@pytest.mark.parametrize("sent", ["a/b", "a%2Fb", "100%"])
def test_what_an_http_api_has_decoded_is_not_decoded_twice(sent: str) -> None:
    event = {**rest_event("GET", "/{user_id+}", path={"user_id": sent}), "version": "1.0"}
    assert path_parameter(parse(event), "user_id") == sent


def test_a_greedy_parameter_goes_by_its_plain_name() -> None:
    operation = Operation("GET", "/customers/{project_id}/{user_id+}", "read", "Read", None)
    assert operation.parameters == ("project_id", "user_id")


def test_a_cursor_comes_back_as_it_went() -> None:
    assert read_cursor(cursor_of((7, "evt_ü")), int, str) == (7, "evt_ü")
    assert read_cursor(None, int, str) is None


@pytest.mark.parametrize("values", [[7], ["7", "x"], [True, "x"], {"a": 1}, 7, [7, "a\0b"], [7, "\ud800"]])
def test_a_cursor_of_another_list_is_refused_where_it_stood(values: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    with pytest.raises(Refused) as refusal:
        read_cursor(cursor, int, str, pointer="/cursor")
    assert [fault.pointer for fault in refusal.value.fields] == ["/cursor"]
