"""Lists: a page of rows and an opaque cursor to the next, which holds the last row's place in the order."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, Field

from billing.errors import FieldFault, Refused
from billing.http.operations import Query

MOST_ROWS = 100

RowT = TypeVar("RowT")


class PageQuery(Query):
    """Of every list. Its own filters are added by the route."""

    limit: Annotated[int, Field(ge=1, le=MOST_ROWS, description="Rows at most")] = 20
    cursor: Annotated[str | None, Field(max_length=2000, description="`next_cursor` of the page before")] = None


class Page(BaseModel, Generic[RowT]):
    """`next_cursor` goes into the next request, with the same filters; null on the last page."""

    data: list[RowT]
    has_more: bool
    next_cursor: str | None = None


def place(query: PageQuery, *kinds: type) -> tuple[Any, ...] | None:
    """Where the page begins: the last row's sort key, of these types; None at the beginning.

    Raises Refused (`invalid_request`) for a cursor that this list did not give.
    """
    return read_cursor(query.cursor, *kinds)


def read_cursor(cursor: str | None, *kinds: type, pointer: str = "?cursor") -> tuple[Any, ...] | None:
    """As `place`, of a cursor that came elsewhere than in the query."""
    if cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        raise bad_cursor(pointer)
    if any(isinstance(value, str) and not value.isprintable() for value in values):
        raise bad_cursor(pointer)
    return tuple(values)


def bad_cursor(pointer: str = "?cursor") -> Refused:
    fault = FieldFault(pointer, "send `next_cursor` of the page before as it came, or none for the first page")
    return Refused("invalid_request", "This list did not give such a cursor.", fields=(fault,))


def cursor_of(key: tuple[Any, ...]) -> str:
    """The opaque cursor behind a row of this sort key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def page(query: PageQuery, rows: Sequence[RowT], key: Callable[[RowT], tuple[Any, ...]]) -> Page[RowT]:
    """The page out of up to `limit + 1` rows: one more than asked says that there are more."""
    shown = list(rows[: query.limit])
    if len(rows) <= query.limit:
        return Page[RowT](data=shown, has_more=False)
    return Page[RowT](data=shown, has_more=True, next_cursor=cursor_of(key(shown[-1])))
