"""docs/openapi.json: the contract of every route, valid as OpenAPI 3.1, and the one that is served."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis

from functions.health.handler import CONTRACT
from infra.openapi import DOCUMENT, contract, written
from infra.routes import ROUTES

TOLD = contract()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in TOLD["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for member in part.values():
            yield from references(member)
    elif isinstance(part, list):
        for member in part:
            yield from references(member)


def test_the_page_is_what_the_code_says() -> None:
    """After a change of an operation or a model: make docs."""
    assert DOCUMENT.read_text(encoding="utf-8") == written(TOLD)


def test_the_served_document_is_the_page() -> None:
    assert CONTRACT.resolve() == DOCUMENT


def test_it_tells_every_route_and_no_other() -> None:
    assert {(method, path) for method, path, _ in operations()} == {
        (route.method, route.path.replace("+}", "}"))
        for route in ROUTES  # a greedy parameter is a plain one here
    }


def test_an_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert sorted(names) == sorted(set(names))
    assert all(operation["summary"] for _, _, operation in operations())
    assert all(tag["description"] for tag in TOLD["tags"])


def test_every_reference_leads_somewhere() -> None:
    for reference in references(TOLD):
        part: Any = TOLD
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]
        assert isinstance(part, dict)


def test_it_is_valid_openapi_3_1() -> None:
    document = json.loads(written(TOLD))
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    assert sum(1 for _ in schema.get_all_operations()) == len(list(operations()))


@pytest.mark.parametrize("path", sorted(TOLD["paths"]))
def test_an_operators_route_opens_to_operators_alone(path: str) -> None:
    for operation in TOLD["paths"][path].values():
        assert (operation["security"] == [{"adminKey": []}]) == (
            path.startswith("/api/v1/admin/") or path == "/metrics"
        )
