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
    if query.cursor is None:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(query.cursor.encode("ascii")))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(kinds):
        fault = FieldFault("?cursor", "send `next_cursor` of the page before as it came, or none for the first page")
        raise Refused("invalid_request", "The query is not valid.", fields=(fault,))
    return tuple(values)


def page(query: PageQuery, rows: Sequence[RowT], key: Callable[[RowT], tuple[Any, ...]]) -> Page[RowT]:
    """The page out of up to `limit + 1` rows: one more than asked says that there are more."""
    shown = list(rows[: query.limit])
    if len(rows) <= query.limit:
        return Page[RowT](data=shown, has_more=False)
    cursor = base64.urlsafe_b64encode(json.dumps(key(shown[-1])).encode()).decode()
    return Page[RowT](data=shown, has_more=True, next_cursor=cursor)
