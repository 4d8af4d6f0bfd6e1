"""What counts as a break of the HTTP contract, on the smallest contracts that show it."""

import copy
import json
from typing import Any

import pytest

from infra.api_breaks import breaks
from infra.openapi import DOCUMENT

KEY: dict[str, list[str]] = {"projectKey": []}


def contract(asked: Any = None, answered: Any = None, **operation: Any) -> dict[str, Any]:
    """One route: POST /things, which takes `asked` and answers `answered`."""
    told: dict[str, Any] = {
        "security": [KEY],
        "parameters": [{"name": "limit", "in": "query", "required": False, "schema": {"type": "integer"}}],
        "responses": {"200": {"content": {"application/json": {"schema": answered or {"type": "object"}}}}, "422": {}},
    }
    if asked is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": asked}}}
    return {"paths": {"/things": {"post": told | operation}}, "components": {"schemas": {}}}


def record(*required: str, closed: bool = True, **members: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": not closed,
        "required": list(required),
        "properties": {name: {"type": kind} if isinstance(kind, str) else kind for name, kind in members.items()},
    }


def parameter(name: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema or {"type": "string"}}


def lines(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = breaks(old, new)
    assert all(line.startswith("POST /things: ") for line in found)
    return [line.removeprefix("POST /things: ") for line in found]


def asking(old: Any, new: Any) -> list[str]:
    return lines(contract(asked=old), contract(asked=new))


def answering(old: Any, new: Any) -> list[str]:
    return lines(contract(answered=old), contract(answered=new))


def test_the_real_contract_breaks_nothing_of_itself() -> None:
    document = json.loads(DOCUMENT.read_text())
    assert breaks(document, document) == []


def test_each_route_taken_out_of_the_real_contract_is_a_break() -> None:
    old = json.loads(DOCUMENT.read_text())
    for path, methods in old["paths"].items():
        for method in methods:
            new = copy.deepcopy(old)
            del new["paths"][path][method]
            assert breaks(old, new) == [f"{method.upper()} {path}: is gone"]


def test_a_path_that_is_gone_and_one_that_is_new() -> None:
    old, new = contract(), contract()
    new["paths"]["/others"] = new["paths"].pop("/things")
    assert lines(old, new) == ["is gone"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([KEY], [], []),
        ([KEY], [{"adminKey": []}, KEY], []),
        ([KEY, {"adminKey": []}], [{"adminKey": []}], ["projectKey opens it no longer"]),
        ([], [KEY], ["no key at all opens it no longer"]),
    ],
)
def test_who_may_call(old: Any, new: Any, expected: list[str]) -> None:
    assert lines(contract(security=old), contract(security=new)) == expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ([parameter("limit", type="integer"), parameter("more")], []),
        ([parameter("limit", type="number")], []),
        ([], ["query /limit is refused now"]),
        ([parameter("limit", type="string")], ["query /limit takes integer no longer"]),
        ([parameter("limit", type="integer", maximum=9)], ["query /limit keeps to maximum 9 now"]),
        ([parameter("limit", required=True, type="integer")], ["query /limit is required now"]),
        (
            [parameter("limit", type="integer"), parameter("more", required=True)],
            ["query /more is required now"],
        ),
    ],
)
def test_parameters(new: list[dict[str, Any]], expected: list[str]) -> None:
    assert lines(contract(), contract(parameters=new)) == expected


NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (record("a", a="string"), record("a", a="string", b="string"), []),
        (record("a", a="string"), record(a=NULLABLE), []),
        (record(a="string"), record("a", a="string"), ["body /a is required now"]),
        (record(a="string"), record("b", a="string", b="string"), ["body /b is required now"]),
        (record(a="string", b="string"), record(a="string"), ["body /b is refused now"]),
        (record(a=NULLABLE), record(a="string"), ["body /a takes null no longer"]),
        (record(a={"enum": ["x", "y"]}), record(a={"enum": ["x", "y", "z"]}), []),
        (
            record(a={"type": "string", "enum": ["x", "y"]}),
            record(a={"type": "string", "const": "x"}),
            ["body /a takes y no longer"],
        ),
        (record(a="string"), record(a={"type": "string", "enum": ["x"]}), ["body /a takes any value no longer"]),
        (
            record(a={"type": "string", "maxLength": 9}),
            record(a={"type": "string", "maxLength": 8}),
            ["body /a keeps to maxLength 8 now"],
        ),
        (record(a={"type": "string", "maxLength": 9}), record(a={"type": "string", "maxLength": 10}), []),
        (record(a="integer"), record(a={"type": "integer", "minimum": 1}), ["body /a keeps to minimum 1 now"]),
        (record(a="string"), record(a={"type": "string", "pattern": "^x$"}), ["body /a has to be of pattern ^x$"]),
        (
            record(a={"type": "array", "items": record("b", b="string")}),
            record(a={"type": "array", "items": record("b", b="integer")}),
            ["body /a/*/b takes string no longer"],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "integer"}},
            ["body /* takes string no longer"],
        ),
    ],
)
def test_bodies(old: Any, new: Any, expected: list[str]) -> None:
    assert asking(old, new) == expected


def test_a_body_where_none_was_asked_for() -> None:
    assert lines(contract(), contract(asked=record())) == ["body is required now"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (record("a", a="string", closed=False), record("a", "b", a="string", b="string", closed=False), []),
        (record(a="string", closed=False), record("a", a="string", closed=False), []),
        (record(a={"enum": ["x"]}, closed=False), record(a={"enum": ["x", "y"]}, closed=False), []),
        (record("a", a="string", closed=False), record(closed=False), ["answer 200 /a is gone"]),
        (record(a="string", closed=False), record(closed=False), ["answer 200 /a is gone"]),
        (
            record("a", a="string", closed=False),
            record(a="string", closed=False),
            ["answer 200 /a may be missing now"],
        ),
        (
            record("a", a="string", closed=False),
            record("a", a=NULLABLE, closed=False),
            ["answer 200 /a may be null now"],
        ),
        (
            record("a", a="number", closed=False),
            record("a", a="integer", closed=False),
            [],
        ),
        (
            record("a", a={"type": "string", "format": "date-time"}, closed=False),
            record("a", a="string", closed=False),
            ["answer 200 /a may be of another format than date-time"],
        ),
    ],
)
def test_answers(old: Any, new: Any, expected: list[str]) -> None:
    assert answering(old, new) == expected


def test_other_successes() -> None:
    answer = {"content": {"application/json": {"schema": {"type": "object"}}}}
    new = contract(responses={"202": answer, "404": {}})
    assert lines(contract(), new) == ["answers 200 no longer", "may answer 202 now"]


def test_another_media_type_of_the_answer() -> None:
    new = contract(responses={"200": {"content": {"text/csv": {"schema": {"type": "string"}}}}})
    assert lines(contract(), new) == ["answer 200 is application/json no longer"]


def test_what_is_referred_to_is_compared_even_where_it_holds_itself() -> None:
    def tree(kind: str) -> dict[str, Any]:
        whole = contract(asked={"$ref": "#/components/schemas/Tree"})
        inner = {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}
        return whole | {"components": {"schemas": {"Tree": record(leaf=kind, branches=inner)}}}

    assert lines(tree("string"), tree("string")) == []
    assert lines(tree("string"), tree("integer")) == ["body /leaf takes string no longer"]


def test_forms_of_one_object_are_compared_with_its_members() -> None:
    forms = {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    both = record(a="string", b="string") | forms
    assert asking(both, both) == []
    assert asking(both, record(a="string", b="integer") | forms) == ["body /b takes string no longer"]
    assert asking(both, record("a", a="string", b="string")) == ["body /a is required now"]


def test_one_kind_less_of_several_is_a_break() -> None:
    card, bank = (record("kind", kind={"type": "string", "const": kind}) for kind in ("card", "bank"))
    assert asking({"anyOf": [card, bank]}, {"anyOf": [card]}) == ["body /kind takes bank no longer"]
    assert asking({"anyOf": [card]}, {"anyOf": [card, bank]}) == []
