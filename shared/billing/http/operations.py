"""One route as it is served, checked and documented: the handler and docs/openapi.json read the same value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from billing.errors import FieldFault, Refused
from billing.http.app import idempotency_key, path_parameter
from billing.http.body import NO_TEXT, is_text, json_object
from billing.http.exchange import Request
from billing.http.schemas import checked
from billing.http.yaml_body import json_or_yaml

Opens = Literal["project", "admin", "either", "stripe", "nobody"]
"""Whose key opens the route; `stripe`: its signature does; `nobody`: it needs none."""

MOST_PATH_CHARACTERS = 255


class Query(BaseModel):
    """A route's query parameters: each at most once, none that the route does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Operation:
    """`id` is the OpenAPI operationId, `answer` the model of the success, `problems` codes beyond those of all routes.

    `writes`: it takes an Idempotency-Key. `largest` is the longest body in bytes. `etag`: the success carries one, and
    If-None-Match is answered 304. `yaml`: its body may be YAML as well.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    id: str
    summary: str
    answer: type[BaseModel] | None
    status: int = 200
    query: type[Query] | None = None
    body: type[BaseModel] | None = None
    problems: tuple[str, ...] = ()
    opens: Opens = "admin"
    writes: bool = False
    largest: int = 65_536
    media_type: str = "application/json"
    etag: bool = False
    yaml: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path's braces; one with a `+`, at its end, takes slashes too."""
        return tuple(part.strip("{+}") for part in self.path.split("/") if part.startswith("{"))

    @property
    def route(self) -> str:
        """As `infra/routes.py` and the idempotency keys name it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was sent, checked: path parameters by name, and the query and body as the operation's models."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Query | None = None
    body: BaseModel | None = None
    document: Mapping[str, object] = field(default_factory=dict)


def asked(operation: Operation, request: Request) -> Asked:
    """Raises Refused (`invalid_request`, `malformed_request`, `request_too_large`) with every fault found; `not_found`
    for a path that names nothing there can be.
    """
    path = {name: path_parameter(request, name) for name in operation.parameters}
    if not all(value.isprintable() and 1 <= len(value) <= MOST_PATH_CHARACTERS for value in path.values()):
        raise Refused("not_found", "The path names nothing: an id is 1 to 255 printable characters.")
    if operation.writes:
        idempotency_key(request)  # a bad one is refused also where it comes to nothing
    query = _query(operation.query, request) if operation.query else None
    if operation.body is None:
        return Asked(path, query)
    document = (json_or_yaml if operation.yaml else json_object)(request, operation.largest)
    return Asked(path, query, checked(operation.body, document), document)


ModelT = TypeVar("ModelT", bound=BaseModel)


def of(kind: type[ModelT], model: BaseModel | None) -> ModelT:
    """The checked query or body as the model the operation names."""
    if not isinstance(model, kind):
        raise TypeError(f"the operation does not take {kind.__name__}: name it there")
    return model


def _query(kind: type[Query], request: Request) -> Query:
    faults = tuple(_faults_of(request))
    if faults:
        raise Refused("invalid_request", "The query is not valid.", fields=faults)
    return checked(kind, {name: values[0] for name, values in request.query.items()}, where="query")


def _faults_of(request: Request) -> Iterator[FieldFault]:
    """What no model has to look at."""
    for name, values in request.query.items():
        if not all(map(is_text, (name, *values))):
            yield FieldFault(f"?{name}" if is_text(name) else "?", NO_TEXT)
        elif len(values) != 1:
            yield FieldFault(f"?{name}", "give it once")
