"""A request's JSON body, read with the standard library alone: what it holds can be stored and told again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from billing.errors import FieldFault, Refused
from billing.http.exchange import Request

LARGEST_BODY = 65_536
"""Bytes. The largest sensible checkout is a tenth of it."""

DEEPEST = 32
"""Levels of a body: below the depth at which reading, checking and writing it again stop agreeing."""

MOST_FAULTS = 100

NO_TEXT = "text must have no NUL character and no half of a surrogate pair"

_UNKEPT = re.compile("[\x00\ud800-\udfff]")


def json_object(request: Request, largest: int = LARGEST_BODY) -> dict[str, Any]:
    """The body as a JSON object of text that can be stored and numbers that are finite.

    Raises Refused (`malformed_request`, `invalid_request`, `request_too_large`), whatever was sent.
    """
    return object_of(sized(request, largest))


def sized(request: Request, largest: int) -> bytes:
    """The body as it came. Raises Refused (`request_too_large`)."""
    raw = request.body()
    if len(raw) > largest:
        raise Refused("request_too_large", f"A body is at most {largest} bytes: this one has {len(raw)}.")
    return raw


def object_of(raw: bytes) -> dict[str, Any]:
    """As `json_object`, of a body of allowed size."""
    try:
        document = json.loads(raw.decode(), parse_constant=_not_json, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed_request", f"The body is not JSON in UTF-8 ({type(error).__name__}).") from error
    if not isinstance(document, dict):
        raise Refused("malformed_request", "The body is JSON, but not an object: send {…}.")
    faults = tuple(FieldFault(pointer(path), NO_TEXT) for path in _unkept(document))
    if faults:
        raise Refused("invalid_request", "The body is not what this route takes.", fields=faults[:MOST_FAULTS])
    return document


def is_text(text: str) -> bool:
    """Whether PostgreSQL and UTF-8 can hold it: a JSON string may escape a NUL or half a surrogate pair."""
    return _UNKEPT.search(text) is None


def pointer(path: tuple[int | str, ...]) -> str:
    """RFC 6901: `("line_items", 0, "a/b")` is `/line_items/0/a~1b`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _unkept(document: dict[str, Any]) -> Iterator[tuple[int | str, ...]]:
    """Where the texts are that cannot be stored, member names too. Raises Refused where it is nested too deeply."""
    waiting: list[tuple[tuple[int | str, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > DEEPEST:
            raise Refused("malformed_request", f"The body is nested deeper than {DEEPEST} levels.")
        if isinstance(value, str) and not is_text(value):
            yield path
        elif isinstance(value, list):
            waiting.extend(((*path, place), member) for place, member in enumerate(value))
        elif isinstance(value, dict):
            waiting.extend(((*path, name), member) for name, member in value.items() if is_text(name))
            yield from (path for name in value if not is_text(name))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _not_json(text)
    return number


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
