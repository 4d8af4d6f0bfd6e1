"""The bodies of the write routes. Unknown members are refused; every fault is told with its JSON pointer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from billing.domain.windows import parse_rfc3339, rfc3339
from billing.errors import FieldFault, Refused
from billing.http.body import pointer

MOST_LINES = 20
MOST_TRIAL_DAYS = 730
MOST_UNITS = 999_999


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("printable characters only")
    return text


UserId = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
"""The project's own id for its user: opaque."""

StripeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,255}$")]
LookupKey = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Quantity = Annotated[int, Field(ge=1, le=MOST_UNITS)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"), AfterValidator(_printable)]


def _instant(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_rfc3339(value)
    except OverflowError as error:
        raise ValueError("no such instant in UTC: the years are 1 to 9999") from error


Instant = Annotated[
    datetime,
    BeforeValidator(_instant, json_schema_input_type=str),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""RFC 3339 with an offset; UTC where we write it."""

ProjectId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class LineBody(Body):
    price: StripeId | None = None
    lookup_key: LookupKey | None = None
    quantity: Quantity = 1


class CheckoutBody(Body):
    """`POST /api/v1/checkout`: exactly one of `price`, `lookup_key` and `line_items`."""

    user_id: UserId
    price: StripeId | None = None
    lookup_key: LookupKey | None = None
    quantity: Quantity | None = None
    line_items: Annotated[list[LineBody], Field(min_length=1, max_length=MOST_LINES)] | None = None
    success_url: Url
    cancel_url: Url
    email: Email | None = None
    trial_days: Annotated[int, Field(ge=0, le=MOST_TRIAL_DAYS)] | None = None
    promotion_code: Annotated[str, Field(pattern=r"^promo_[A-Za-z0-9]{1,250}$")] | None = None
    allow_promotion_codes: bool = False
    allow_multiple: bool = False


class PortalBody(Body):
    """`POST /api/v1/portal`."""

    user_id: UserId
    return_url: Url
    project_id: Annotated[str, Field(max_length=63)] | None = None


ModelT = TypeVar("ModelT", bound=BaseModel)


def checked(kind: type[ModelT], document: Mapping[str, Any], where: Literal["body", "query"] = "body") -> ModelT:
    """The body or query as its model. Raises Refused (`invalid_request`) with every fault; no value is ever quoted."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        place = pointer if where == "body" else _parameter
        faults = tuple(FieldFault(place(fault["loc"]), _words(fault)) for fault in error.errors(include_url=False))
        detail = "The body is not what this route takes." if where == "body" else "The query is not valid."
        raise Refused("invalid_request", detail, fields=faults) from None


def _parameter(path: tuple[int | str, ...]) -> str:
    return f"?{path[0]}" if path else "?"


def _words(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return "no such member: mind the spelling, or leave it out"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return str(fault["msg"])


def lines_of(body: CheckoutBody) -> list[tuple[str, str | None, str | None, int]]:
    """What a checkout sells: (JSON pointer, price, lookup key, quantity) of each line.

    Raises Refused (`invalid_request`) unless it names one price by id or key, or lines that each do.
    """
    faults = _naming_faults(body)
    if faults:
        raise Refused("invalid_request", "The body is not what this route takes.", fields=tuple(faults))
    if body.line_items is not None:
        return [
            (_named(f"/line_items/{place}", line.price), line.price, line.lookup_key, line.quantity)
            for place, line in enumerate(body.line_items)
        ]
    return [(_named("", body.price), body.price, body.lookup_key, body.quantity or 1)]


def _named(parent: str, price: str | None) -> str:
    return f"{parent}/lookup_key" if price is None else f"{parent}/price"


def _naming_faults(body: CheckoutBody) -> list[FieldFault]:
    named = [name for name in ("price", "lookup_key", "line_items") if getattr(body, name) is not None]
    if len(named) != 1:
        where = named or ["price"]
        return [FieldFault(f"/{name}", "give exactly one of price, lookup_key and line_items") for name in where]
    if body.line_items is None:
        return []
    faults = [
        FieldFault(f"/line_items/{place}", "give exactly one of price and lookup_key")
        for place, line in enumerate(body.line_items)
        if (line.price is None) == (line.lookup_key is None)
    ]
    if body.quantity is not None:
        faults.append(FieldFault("/quantity", "with line_items, each line has its own quantity"))
    return faults
