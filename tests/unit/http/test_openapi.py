"""The OpenAPI document of a few operations that show each thing it can tell."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from billing.http.openapi import Noun, codes_of, document
from billing.http.operations import Operation, Query
from billing.http.problems import KINDS
from billing.http.schemas import Body, Instant


class Inner(BaseModel):
    """Inside."""

    at: Instant | None


class Answer(BaseModel):
    """What is answered."""

    kind: Literal["a", "b"]
    inner: Inner


class Wanted(Body):
    name: str = Field(max_length=5)
    until: Instant | None = None


class Filters(Query):
    limit: int = Field(20, ge=1, le=100, description="Rows at most")
    since: Instant | None = None
    name: str


READ = Operation("GET", "/things/{thing_id}", "readThing", "One thing", Answer, query=Filters, etag=True)
WRITE = Operation(
    "POST",
    "/things",
    "createThing",
    "Make one",
    Answer,
    status=201,
    body=Wanted,
    problems=("project_exists",),
    writes=True,
    opens="project",
)
OPEN = Operation("GET", "/metrics", "scrape", "Numbers", None, media_type="text/plain", opens="nobody")
THINGS = document([Noun("things", "Things.", [READ, WRITE]), Noun("numbers", "Numbers.", [OPEN])])


def told(operation: Operation) -> Any:
    return THINGS["paths"][operation.path][operation.method.lower()]


def codes(operation: Operation, status: int) -> list[str]:
    found: list[str] = told(operation)["responses"][str(status)]["x-codes"]
    return found


def test_nouns_are_tags() -> None:
    assert THINGS["tags"] == [
        {"name": "things", "description": "Things."},
        {"name": "numbers", "description": "Numbers."},
    ]
    assert (told(READ)["tags"], told(OPEN)["tags"]) == (["things"], ["numbers"])


def test_shapes_are_told_once_and_referred_to() -> None:
    assert set(THINGS["components"]["schemas"]) == {"Problem", "Answer", "Inner", "Wanted"}
    answer = told(WRITE)["responses"]["201"]["content"]["application/json"]["schema"]
    assert answer == told(READ)["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Answer"}


def test_a_body_takes_no_other_members() -> None:
    wanted = THINGS["components"]["schemas"]["Wanted"]
    assert wanted["additionalProperties"] is False
    assert wanted["required"] == ["name"]
    assert wanted["properties"]["until"]["anyOf"] == [{"type": "string", "format": "date-time"}, {"type": "null"}]


def test_path_and_query_are_parameters_and_a_query_never_says_null() -> None:
    assert told(READ)["parameters"][:4] == [
        {
            "name": "thing_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        },
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "description": "Rows at most",
            "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        },
        {"name": "since", "in": "query", "required": False, "schema": {"type": "string", "format": "date-time"}},
        {"name": "name", "in": "query", "required": True, "schema": {"type": "string"}},
    ]


def test_a_write_takes_an_idempotency_key_and_says_when_its_answer_is_repeated() -> None:
    assert [one["name"] for one in told(WRITE)["parameters"]] == ["Idempotency-Key"]
    assert set(told(WRITE)["responses"]["201"]["headers"]) == {"Idempotent-Replayed"}
    assert codes(WRITE, 409) == ["in_flight", "project_exists"]
    assert "idempotency_mismatch" in codes(WRITE, 422)


def test_an_answer_with_an_etag_can_be_unchanged() -> None:
    assert told(READ)["parameters"][-1]["name"] == "If-None-Match"
    assert told(READ)["responses"]["200"]["headers"]["ETag"]["required"]
    assert "content" not in told(READ)["responses"]["304"]


@pytest.mark.parametrize(
    ("operation", "schemes"),
    [(READ, [{"adminKey": []}]), (WRITE, [{"projectKey": []}]), (OPEN, [])],
)
def test_who_may_call_is_told(operation: Operation, schemes: list[Any]) -> None:
    assert told(operation)["security"] == schemes


def test_every_problem_is_told_under_its_status_and_no_other() -> None:
    for operation in (READ, WRITE, OPEN):
        problems = {code for status in told(operation)["responses"].values() for code in status.get("x-codes", ())}
        assert problems == set(codes_of(operation))
        assert all(code in codes(operation, KINDS[code].status) for code in problems)
    assert {status for status in told(READ)["responses"] if status >= "4"} == {"401", "403", "404", "422", "500", "503"}
    assert {status for status in told(OPEN)["responses"] if status >= "4"} == {"500"}
    assert "Retry-After" in told(READ)["responses"]["503"]["headers"]


def test_text_is_text() -> None:
    assert told(OPEN)["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}


def test_an_operation_told_twice_is_a_defect() -> None:
    with pytest.raises(ValueError, match="GET /metrics is told twice"):
        document([Noun("numbers", "Numbers.", [OPEN, OPEN])])
