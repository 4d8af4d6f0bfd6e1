"""The operators' HTTP API: one request is tried again until it is answered or the patience is over.

A write carries an Idempotency-Key, the same one at each try, so trying again never does it twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from billing_cli.faults import Problem, Refused, Unreachable
from billing_cli.mends import mend_of

ADMIN = "/api/v1/admin"

TRIES = 5
FIRST_PAUSE = 0.5
"""Seconds; doubled each time, unless the answer has a Retry-After."""
LONGEST_PAUSE = 30.0

TIMEOUT = httpx.Timeout(35.0, connect=5.0)
"""Seconds. A function answers within 29, or API Gateway does for it."""

_PASSING = frozenset({429, 500, 502, 503, 504})
"""Statuses of a gateway in front of the service; the service's own answers say `retryable`."""

UNFINISHED = "catalog_unfinished"
"""The code of a catalog that is partly applied. What is left is another plan: its caller goes on, not the retries."""

Query = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Written:
    """A body as its author wrote it."""

    content: bytes
    media_type: str


Body = Mapping[str, Any] | Written


@dataclass(frozen=True, slots=True)
class Target:
    """Whose API, and the key that opens it. `hint`: what to do if nobody answers there."""

    name: str
    url: str
    key: str = field(repr=False)
    hint: str = "Is the profile's URL right, and this machine online? `billing profile list` shows it."


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `text` is as it came."""

    text: str
    document: Any

    @staticmethod
    def of(document: Any) -> Answer:
        """One put together out of several."""
        return Answer(json.dumps(document, ensure_ascii=False), document)


def segment(text: str) -> str:
    """An id as one segment of a path, whatever it contains."""
    return quote(text, safe="")


class Api:
    """`tell` is called with a line before each new try, `pause` with the seconds to wait for it."""

    def __init__(
        self, target: Target, http: httpx.Client, pause: Callable[[float], None], tell: Callable[[str], None]
    ) -> None:
        self.target = target
        self._http = http
        self._pause = pause
        self._tell = tell

    def read(self, path: str, query: Query | None = None) -> Answer:
        """Raises Refused, Unreachable."""
        return _answer(self._send("GET", path, query, {}, None), self.target)

    def read_text(self, path: str) -> str:
        """An answer that is no JSON, as it came. Raises as `read`."""
        response = self._send("GET", path, None, {"Accept": "*/*"}, None)
        return response.text if response.is_success else _answer(response, self.target).text

    def write(self, method: str, path: str, body: Body, idempotency_key: str, query: Query | None = None) -> Answer:
        """Raises Refused; Unreachable, after which it may have been done or not."""
        sent = body if isinstance(body, Written) else Written(json.dumps(body).encode(), "application/json")
        headers = {"Idempotency-Key": idempotency_key, "Content-Type": sent.media_type}
        return _answer(self._send(method, path, query, headers, sent.content), self.target)

    def probe(self, path: str) -> tuple[int, Any]:
        """Status and JSON of one try without a key. Raises Unreachable."""
        try:
            response = self._http.get(self.target.url + path)
        except httpx.RequestError as error:
            raise self._silent(error) from error
        return response.status_code, _json(response)

    def _send(
        self, method: str, path: str, query: Query | None, headers: Mapping[str, str], content: bytes | None
    ) -> httpx.Response:
        """The first answer that is final. Raises Unreachable."""
        parameters = {name: str(value) for name, value in (query or {}).items() if value is not None}
        headers = {"Authorization": f"Bearer {self.target.key}", "Accept": "application/json", **headers}
        for number in range(1, TRIES + 1):
            try:
                response = self._http.request(
                    method, self.target.url + path, params=parameters, headers=headers, content=content
                )
            except httpx.RequestError as error:
                fault, wait = self._silent(error), None
            else:
                if not _is_passing(response):
                    return response
                fault, wait = _out_of_order(response), _retry_after(response)
            if number < TRIES:
                self._again(number, fault, wait)
        raise fault

    def _again(self, number: int, fault: Unreachable, wait: float | None) -> None:
        seconds = min(FIRST_PAUSE * 2 ** (number - 1) if wait is None else wait, LONGEST_PAUSE)
        self._tell(f"{fault.what}: try {number + 1} of {TRIES} in {seconds:g} s")
        self._pause(seconds)

    def _silent(self, error: httpx.RequestError) -> Unreachable:
        return Unreachable(f"{self.target.url} does not answer ({type(error).__name__})", self.target.hint)


def _answer(response: httpx.Response, target: Target) -> Answer:
    document = _json(response)
    if response.is_success and document is not None:
        return Answer(response.text, document)
    problem = Problem.of(document)
    if problem is None:
        raise Unreachable(
            f"{target.url} answered {response.status_code}, but not as this API does",
            "Is the profile's URL right? It ends before /api/v1. `billing profile list` shows it.",
        )
    if response.status_code >= 500:
        raise Unreachable(problem.title, mend_of(problem), problem)
    raise Refused(problem, mend_of(problem))


def _is_passing(response: httpx.Response) -> bool:
    problem = Problem.of(_json(response))
    if problem is not None:
        return problem.retryable and not response.is_success and problem.code != UNFINISHED
    return response.status_code in _PASSING


def _out_of_order(response: httpx.Response) -> Unreachable:
    problem = Problem.of(_json(response))
    what = problem.title if problem else f"The service answered {response.status_code}"
    return Unreachable(what, "It has been tried several times: try again in a while.", problem)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds; an HTTP date is not sent by this API."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:  # not JSON: the caller says what that means
        return None
