"""One request with its retries, as a conversation without I/O: it says what to do next, whoever drives it does it.

The sync and the async client drive the same conversations; a test drives them with a list.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from billing_client.errors import FieldFault, Refused, Unavailable
from billing_client.options import Patience

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `target` is its path and query; a write's `headers` hold its Idempotency-Key, the same at each try."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Header names in small letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send this within so many seconds; answer with the Reply, or throw Lost."""

    ask: Ask
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


class Lost(Exception):
    """No whole answer came. The text has no secret in it."""


Conversation = Generator[Send | Pause, Reply | None, T]


@dataclass(frozen=True, slots=True)
class Means:
    """What a conversation needs to know of the world: seconds that only grow, and chance in [0, 1)."""

    monotonic: Callable[[], float]
    chance: Callable[[], float]


def get(path: str, query: Mapping[str, str | None] | None = None, headers: Mapping[str, str] | None = None) -> Ask:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return Ask("GET", path + ("?" + urlencode(given, quote_via=quote) if given else ""), headers or {})


def post(path: str, body: object = None, *, key: str | None = None) -> Ask:
    """`key`: its Idempotency-Key."""
    headers = {} if body is None else {"content-type": "application/json"}
    if key is not None:
        headers["idempotency-key"] = key
    return Ask("POST", path, headers, None if body is None else json.dumps(body).encode())


def new_key() -> str:
    return str(uuid.uuid4())


def segment(text: str) -> str:
    """An id as one segment of a path, whatever it contains."""
    return quote(text, safe="")


def ask(question: Ask, patience: Patience, means: Means) -> Conversation[Reply]:
    """The reply to a request that succeeded, 304 included. Raises Refused, Unavailable."""
    began = means.monotonic()
    number = 0
    while True:
        number += 1
        left = patience.deadline - (means.monotonic() - began)
        try:
            reply = yield Send(question, max(0.001, min(patience.timeout, left)))
        except Lost as lost:
            fault = Unavailable("unreachable", f"The billing service gave no answer: {lost}. Is its URL right?")
        else:
            if reply is None:
                raise TypeError("whoever drives a conversation must answer Send with a Reply")
            if reply.status == 304 or 200 <= reply.status < 300:
                return reply
            fault = _fault(reply)
        pause = patience.pause(number, fault.retry_after, means.chance())
        if not fault.retryable or number >= patience.tries or means.monotonic() - began + pause >= patience.deadline:
            raise fault
        yield Pause(pause)


def document(reply: Reply) -> dict[str, Any]:
    """The JSON object of a success. Raises Unavailable: something that is not this API answered."""
    try:
        found = json.loads(reply.content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _unreadable(reply)
    return found


def read(reply: Reply, reader: Callable[[dict[str, Any]], T]) -> T:
    """What the reader makes of the document. Raises Unavailable."""
    try:
        return reader(document(reply))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(reply) from error


def served(reply: Reply) -> datetime | None:
    """When it was answered, by the service's clock, rounded down to a second; None where it does not say."""
    try:
        at = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _unreadable(reply: Reply) -> Unavailable:
    detail = "The answer is not one of the billing API. Does the URL lead there, and is this package new enough?"
    return Unavailable("unreadable_answer", detail, status=reply.status, retryable=False)


def _fault(reply: Reply) -> Unavailable:
    """Raises Refused where asking again is in vain."""
    problem = _problem(reply)
    code = str(problem.get("code") or "unexpected_answer")
    detail = str(problem.get("detail") or f"HTTP {reply.status} without a reason, perhaps from a proxy in between.")
    request_id = str(problem.get("request_id") or reply.headers.get("apigw-requestid", ""))
    passing = reply.status >= 500 or reply.status == 429
    retryable = problem["retryable"] is True if "retryable" in problem else passing
    if not retryable and not passing:
        faults = problem.get("errors")
        errors = tuple(
            FieldFault(str(each.get("pointer", "")), str(each.get("detail", "")))
            for each in (faults if isinstance(faults, list) else [])
            if isinstance(each, dict)
        )
        raise Refused(code, detail, status=reply.status, request_id=request_id, errors=errors)
    return Unavailable(
        code,
        detail,
        status=reply.status,
        request_id=request_id,
        retryable=retryable,
        retry_after=_seconds(reply.headers.get("retry-after")),
    )


def _problem(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(text: str | None) -> float | None:
    """Of Retry-After in seconds; this service sends no dates."""
    return float(text) if text is not None and text.strip().isdecimal() else None
