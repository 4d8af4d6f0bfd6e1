"""One route as it is served, checked and documented: the handler and docs/openapi.json read the same value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from billing.errors import FieldFault, Refused
from billing.http.app import path_parameter
from billing.http.body import json_object
from billing.http.exchange import Request
from billing.http.schemas import Body, checked

Opens = Literal["project", "admin", "either", "nobody"]
"""Whose key opens the route; `nobody`: it needs none."""


class Query(BaseModel):
    """A route's query parameters: each at most once, none that the route does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Operation:
    """`id` is the OpenAPI operationId, `answer` the model of the success, `problems` codes beyond those of all routes.

    `writes`: it takes an Idempotency-Key. `largest` is the longest body in bytes.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    id: str
    summary: str
    answer: type[BaseModel] | None
    status: int = 200
    query: type[Query] | None = None
    body: type[Body] | None = None
    problems: tuple[str, ...] = ()
    opens: Opens = "admin"
    writes: bool = False
    largest: int = 65_536
    media_type: str = "application/json"

    @property
    def route(self) -> str:
        """As `infra/routes.py` and the idempotency keys name it."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was sent, checked: path parameters by name, and the query and body as the operation's models."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Query | None = None
    body: Body | None = None
    document: Mapping[str, object] = field(default_factory=dict)


def asked(operation: Operation, request: Request) -> Asked:
    """Raises Refused (`invalid_request`, `malformed_request`, `request_too_large`) with every fault found."""
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    path = {name: path_parameter(request, name) for name in names}
    query = _query(operation.query, request) if operation.query else None
    if operation.body is None:
        return Asked(path, query)
    document = json_object(request, operation.largest)
    return Asked(path, query, checked(operation.body, document), document)


ModelT = TypeVar("ModelT", bound=BaseModel)


def of(kind: type[ModelT], model: BaseModel | None) -> ModelT:
    """The checked query or body as the model the operation names."""
    if not isinstance(model, kind):
        raise TypeError(f"the operation does not take {kind.__name__}: name it there")
    return model


def _query(kind: type[Query], request: Request) -> Query:
    many = [name for name, values in request.query.items() if len(values) != 1]
    if many:
        faults = tuple(FieldFault(f"?{name}", "give it once") for name in many)
        raise Refused("invalid_request", "The query is not valid.", fields=faults)
    return checked(kind, {name: values[0] for name, values in request.query.items()}, where="query")
