"""API Gateway events of payload format 1.0 in, proxy responses out, with the standard library alone."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from billing.errors import BillingError, FieldFault, Refused
from billing.http.problems import KINDS, kind_of, problem
from billing.runtime.log import Log

JSON = "application/json"

_NONE: Mapping[str, Any] = MappingProxyType({})


class Request(NamedTuple):
    """An HTTP request. Header names are lower-case; `headers` and `query` hold every value sent, in order.

    `route` is the API's own template (`/api/v1/checkout/{session_id}/sync`), whatever stage or prefix was called.
    """

    method: str
    route: str
    headers: Mapping[str, Sequence[str]]
    query: Mapping[str, Sequence[str]]
    request_id: str
    event: Mapping[str, Any]

    def header(self, name: str) -> str | None:
        """All values of a header as one, joined as HTTP joins them; None if it was not sent."""
        values = self.headers.get(name)
        return None if values is None else ",".join(values)

    def body(self) -> bytes:
        """The body's own bytes. Raises Refused (`malformed_request`) if the gateway's base64 is none."""
        text = self.event.get("body") or ""
        if not self.event.get("isBase64Encoded"):
            return str(text).encode("utf-8", "surrogatepass")
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as fault:
            raise Refused("malformed_request", "The body says it is base64 and is not.") from fault

    def has(self, etag: str) -> bool:
        """Whether If-None-Match names this answer; tags compare weakly (RFC 9110 §13.1.2)."""
        named = (self.header("if-none-match") or "").split(",")
        return not {etag, "*"}.isdisjoint(tag.strip().removeprefix("W/") for tag in named)


class Response(NamedTuple):
    """`notes` go into the request's log line, `counts` become metrics."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = _NONE
    notes: Mapping[str, Any] = _NONE
    counts: Mapping[str, int] = _NONE
    error: BaseException | None = None


def parse(event: Mapping[str, Any]) -> Request:
    """The request inside a payload-1.0 event; members a test or a console may leave out are taken as absent."""
    context = event.get("requestContext") or {}
    return Request(
        method=str(event.get("httpMethod") or "GET"),
        route=str(event.get("resource") or event.get("path") or ""),
        headers=_values(event, "multiValueHeaders", "headers", lower=True),
        query=_values(event, "multiValueQueryStringParameters", "queryStringParameters", lower=False),
        request_id=str(context.get("requestId") or ""),
        event=event,
    )


def serve(event: Mapping[str, Any], context: Any, log: Log, handle: Callable[[Request], Response]) -> dict[str, Any]:
    """Answer one event: errors become problem documents, and exactly one line is logged."""
    started = time.perf_counter()
    request = parse(event)
    try:
        response = handle(request)
    except BillingError as error:
        response = refused(error, request.request_id)
    except Exception as error:  # noqa: BLE001  the last line of defence: logged whole, and answered 500
        response = _broken(error, request.request_id)
    log.request(
        f"{request.method} {request.route} {response.status}",
        context,
        level="ERROR" if response.status >= 500 else "INFO",
        counts=response.counts,
        error=response.error,
        correlation_id=request.request_id,
        status=response.status,
        duration_ms=round((time.perf_counter() - started) * 1000, 2),
        **response.notes,
    )
    return {
        "statusCode": response.status,
        "headers": {"content-type": JSON, **response.headers},
        "body": response.body,
        "isBase64Encoded": False,
    }


def refused(error: BillingError, request_id: str, counts: Mapping[str, int] | None = None) -> Response:
    """An error as a response. Server faults carry the exception, so that its causes are logged."""
    status, headers, body = problem(error, request_id)
    logged = error if kind_of(error).status >= 500 else None
    return Response(status, body, headers, {"code": error.code}, counts or {}, logged)


def single(request: Request, name: str) -> str:
    """A query parameter that must be given once. Raises Refused (`invalid_request`)."""
    values = request.query.get(name, ())
    if len(values) == 1:
        return values[0]
    fault = f"give {name} once" if values else f"{name} is missing"
    raise Refused("invalid_request", f"The query is not valid: {fault}.", fields=(FieldFault(f"?{name}", fault),))


def _broken(error: Exception, request_id: str) -> Response:
    hidden = BillingError("internal", f"Unexpected. {KINDS['internal'].mend}")
    status, headers, body = problem(hidden, request_id)
    return Response(status, body, headers, {"code": "internal"}, error=error)


def _values(event: Mapping[str, Any], multi: str, one: str, *, lower: bool) -> dict[str, Sequence[str]]:
    """Every value by name: format 1.0 has them in `multi…`; hand-written events may have only the plain form."""
    many: Mapping[str, Sequence[str]] = event.get(multi) or {
        name: [value] for name, value in (event.get(one) or {}).items()
    }
    if not lower:
        return dict(many)
    found = {name.lower(): values for name, values in many.items()}
    return found if len(found) == len(many) else _joined(many)


def _joined(many: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Names that differ in case alone are one header's."""
    found: dict[str, list[str]] = {}
    for name, values in many.items():
        found.setdefault(name.lower(), []).extend(values)
    return dict(found)
