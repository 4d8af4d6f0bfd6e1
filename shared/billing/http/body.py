"""A request's JSON body, read with the standard library alone."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from billing.errors import Refused
from billing.http.exchange import Request

LARGEST_BODY = 65_536
"""Bytes. The largest sensible checkout is a tenth of it."""


def json_object(request: Request, largest: int = LARGEST_BODY) -> dict[str, Any]:
    """The body as a JSON object. Raises Refused (`malformed_request`, `request_too_large`), whatever was sent."""
    raw = request.body()
    if len(raw) > largest:
        raise Refused("request_too_large", f"A body is at most {largest} bytes: this one has {len(raw)}.")
    try:
        document = json.loads(raw.decode(), parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed_request", f"The body is not JSON in UTF-8 ({type(error).__name__}).") from error
    if not isinstance(document, dict):
        raise Refused("malformed_request", "The body is JSON, but not an object: send {…}.")
    return document


def pointer(path: tuple[int | str, ...]) -> str:
    """RFC 6901: `("line_items", 0, "a/b")` is `/line_items/0/a~1b`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
