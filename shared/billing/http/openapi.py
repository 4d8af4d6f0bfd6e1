"""The OpenAPI 3.1 document of operations: pure, so that the same operations always give the same bytes.

Shapes come from pydantic's models, errors from the table of problems. What a gateway says by itself is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from billing.http.operations import MOST_PATH_CHARACTERS, Opens, Operation
from billing.http.problems import KINDS, MEDIA_TYPE

Json = dict[str, Any]

VERSION = "1.0.0"
"""Of the contract `/api/v1`: the first number is the path's."""

_PATTERNS = {"project_id": "^[a-z][a-z0-9-]{0,62}$", "session_id": "^cs_[A-Za-z0-9_]{1,250}$"}
"""What the ids in paths look like, where they are no mere text."""

_CALLERS: Mapping[Opens, Sequence[str]] = {
    "project": ("projectKey",),
    "admin": ("adminKey",),
    "either": ("projectKey", "adminKey"),
    "stripe": ("stripeSignature",),
    "nobody": (),
}
_SCHEMES: Json = {
    "projectKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A project's key: it opens that project, and no other.",
    },
    "adminKey": {"type": "http", "scheme": "bearer", "description": "An operator's key."},
    "stripeSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Stripe-Signature",
        "description": "Stripe's signature of the raw body, made with the endpoint's secret.",
    },
}
_OF_STORE = ("database_unavailable", "unavailable")
_OF_CALLERS: Mapping[Opens, Sequence[str]] = {
    "project": ("invalid_api_key", "wrong_role", "project_suspended", *_OF_STORE),
    "admin": ("invalid_api_key", "wrong_role", *_OF_STORE),
    "either": ("invalid_api_key", "project_suspended", *_OF_STORE),
    "stripe": ("invalid_signature", "unavailable"),
    "nobody": (),
}
_SUCCESS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content"}
_RETRIED = (409, 429, 503)

_PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457. What went wrong, by a `code` that never changes its meaning; new codes may come.",
    "required": ["type", "title", "status", "detail", "code", "request_id", "retryable"],
    "properties": {
        "type": {"type": "string", "pattern": "^urn:billing:problem:", "description": "The code, as a URN"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people: what happened here, and how to mend it"},
        "code": {"type": "string", "pattern": "^[a-z_]+$"},
        "request_id": {"type": "string", "description": "By which the operators find it in their logs"},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "A JSON pointer into the body, or `?name` for a query parameter",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Noun:
    """What belongs together in the reference, under one heading."""

    name: str
    description: str
    operations: Sequence[Operation]


class _Schemas(GenerateJsonSchema):
    """Pydantic's schemas, without a title made of each member's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  pydantic's signature
        return False


def document(nouns: Sequence[Noun]) -> Json:
    """The whole contract. Raises KeyError for a problem that has no row, ValueError for an operation told twice."""
    told = [(noun, operation) for noun in nouns for operation in noun.operations]
    refs, definitions = _models(operation for _, operation in told)
    paths: Json = {}
    for noun, operation in told:
        methods = paths.setdefault(operation.path.replace("+}", "}"), {})
        if operation.method.lower() in methods:
            raise ValueError(f"{operation.route} is told twice")
        methods[operation.method.lower()] = _operation(operation, noun.name, refs)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Billing and entitlements for micro-apps",
            "version": VERSION,
            "description": "Opens Stripe checkouts and portals, and says what a user may do, and why. Answers may get "
            "new members, and enums in answers new values, without notice; anything else is a break.",
        },
        "tags": [{"name": noun.name, "description": noun.description} for noun in nouns],
        "paths": paths,
        "components": {"securitySchemes": _SCHEMES, "schemas": {"Problem": _PROBLEM, **definitions}},
    }


def codes_of(operation: Operation) -> tuple[str, ...]:
    """Every problem the operation can answer with, its own and those of all that take what it takes."""
    codes = ["internal", *_OF_CALLERS[operation.opens]]
    if operation.parameters:
        codes.append("not_found")
    if operation.query:
        codes.append("invalid_request")
    if operation.body and operation.opens != "stripe":  # what Stripe signed is taken as it is
        codes += ["malformed_request", "invalid_request", "request_too_large"]
    if operation.writes:
        codes += ["malformed_request", "idempotency_mismatch", "in_flight", "unreadable_newer"]
    return tuple(sorted({*codes, *operation.problems}))


Refs = Mapping[tuple[Any, JsonSchemaMode], Json]


def _models(operations: Iterable[Operation]) -> tuple[Refs, Json]:
    """How bodies and answers are referred to, and what they are."""
    keys: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for operation in operations:
        if operation.body is not None:
            keys[operation.body, "validation"] = None
        if operation.answer is not None:
            keys[operation.answer, "serialization"] = None
    refs, found = models_json_schema(list(keys), ref_template="#/components/schemas/{model}", schema_generator=_Schemas)
    return refs, dict(sorted(found.get("$defs", {}).items()))


def _operation(operation: Operation, noun: str, refs: Refs) -> Json:
    told: Json = {"operationId": operation.id, "summary": operation.summary, "tags": [noun]}
    told["security"] = [{scheme: []} for scheme in _CALLERS[operation.opens]]
    parameters = [*_in_path(operation), *_in_query(operation), *_in_headers(operation)]
    if parameters:
        told["parameters"] = parameters
    if operation.body is not None:
        schema = refs[operation.body, "validation"]
        kinds = ("application/json", "application/yaml") if operation.yaml else ("application/json",)
        told["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}
    told["responses"] = {**_success(operation, refs), **_problems(operation)}
    return told


def _in_path(operation: Operation) -> Iterable[Json]:
    for name in operation.parameters:
        schema: Json = {"type": "string", "minLength": 1, "maxLength": MOST_PATH_CHARACTERS}
        if name in _PATTERNS:
            schema = {"type": "string", "pattern": _PATTERNS[name]}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(operation: Operation) -> Iterable[Json]:
    if operation.query is None:
        return
    schema = operation.query.model_json_schema(mode="validation", schema_generator=_Schemas)
    for name, member in schema.get("properties", {}).items():
        kind = _without_null(member)
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ())}
        description = kind.pop("description", None)
        yield {**parameter, **({"description": description} if description else {}), "schema": kind}


def _without_null(schema: Json) -> Json:
    """A query cannot say null: it leaves the parameter out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    if not kinds:
        return rest
    return {**kinds[0], **rest} if len(kinds) == 1 else {"anyOf": kinds, **rest}


def _in_headers(operation: Operation) -> Iterable[Json]:
    if operation.writes:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Sent again with the same body, the write happens once and its first answer is repeated.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
        }
    if operation.etag:
        yield {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The ETag of an answer that is kept: 304 if it still is the answer.",
            "schema": {"type": "string"},
        }


def _success(operation: Operation, refs: Refs) -> Json:
    answer: Json = {"description": _SUCCESS[operation.status]}
    if operation.etag:
        answer["headers"] = {"ETag": {"required": True, "schema": {"type": "string"}}}
    if operation.writes:
        answer["headers"] = {
            "Idempotent-Replayed": {
                "description": "That this is the first answer, repeated",
                "schema": {"type": "string", "const": "true"},
            }
        }
    unchanged = {"304": {**answer, "description": "Not Modified"}} if operation.etag else {}
    if operation.answer is not None or operation.media_type != "application/json":
        schema = refs[operation.answer, "serialization"] if operation.answer else {"type": "string"}
        answer["content"] = {operation.media_type: {"schema": schema}}
    return {str(operation.status): answer, **unchanged}


def _problems(operation: Operation) -> Json:
    by_status: dict[int, list[str]] = {}
    for code in codes_of(operation):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {str(status): _problem(status, by_status[status]) for status in sorted(by_status)}


def _problem(status: int, codes: Sequence[str]) -> Json:
    meanings = "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes)
    answer: Json = {"description": meanings, "x-codes": list(codes)}
    if status in _RETRIED:
        wait = {"description": "Seconds to wait, where they are known", "schema": {"type": "integer", "minimum": 0}}
        answer["headers"] = {"Retry-After": wait}
    answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return answer
