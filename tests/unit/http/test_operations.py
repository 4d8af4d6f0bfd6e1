"""Checking what was sent against the operation it was sent to."""

from collections.abc import Mapping, Sequence

import pytest

from billing.errors import Refused
from billing.http.exchange import parse
from billing.http.operations import Asked, Operation, asked, of
from billing.http.paging import PageQuery
from billing.http.schemas import PortalBody
from tests.support.wire import rest_event

LIST = Operation("GET", "/things/{thing_id}", "listThings", "Things", None, query=PageQuery)


def send(query: Mapping[str, str | Sequence[str]] | None = None, **path: str) -> Asked:
    return asked(LIST, parse(rest_event("GET", LIST.path, query=query, path={"thing_id": "t", **path})))


def pointers(query: Mapping[str, str | Sequence[str]]) -> list[str]:
    with pytest.raises(Refused) as caught:
        send(query)
    assert caught.value.code == "invalid_request"
    return [fault.pointer for fault in caught.value.fields]


def test_path_and_query_arrive_checked() -> None:
    found = send({"limit": "5"}, thing_id="a b")
    assert found.path == {"thing_id": "a b"}
    assert of(PageQuery, found.query).limit == 5


@pytest.mark.parametrize("thing_id", ["", "a\0", "a\n", "\ud800", "x" * 256])
def test_a_path_that_names_nothing_there_can_be_is_not_found(thing_id: str) -> None:
    with pytest.raises(Refused) as caught:
        send(thing_id=thing_id)
    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": ["1", "2"]}, ["?limit"]),
        ({"limit": "0", "cursr": "x"}, ["?limit", "?cursr"]),
        ({"cursor": "\0"}, ["?cursor"]),
        ({"\ud800": "x"}, ["?"]),
    ],
)
def test_every_fault_of_a_query_is_named(query: Mapping[str, str | Sequence[str]], expected: list[str]) -> None:
    assert pointers(query) == expected


def test_asking_for_a_model_the_operation_does_not_take_is_a_defect() -> None:
    with pytest.raises(TypeError, match="does not take PortalBody"):
        of(PortalBody, send().query)
