"""Literal API Gateway events of payload format 1.0, as a REST API with proxy integration sends them."""

import base64
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

CONTEXT = SimpleNamespace(
    aws_request_id="fn-1",
    function_name="test",
    memory_limit_in_mb=512,
    get_remaining_time_in_millis=lambda: 29_000,
)


def rest_event(
    method: str,
    route: str,
    *,
    query: Mapping[str, str | Sequence[str]] | None = None,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    body: str | bytes | None = None,
    path: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A request to `route`, the API's own template. Bytes travel in base64, as the gateway sends binary bodies."""
    many_headers, many_query = _many(headers), _many(query)
    encoded = base64.b64encode(body).decode() if isinstance(body, bytes) else body
    return {
        "resource": route,
        "path": f"/local{route}",
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in many_headers.items()} or None,
        "multiValueHeaders": many_headers or None,
        "queryStringParameters": {name: values[-1] for name, values in many_query.items()} or None,
        "multiValueQueryStringParameters": many_query or None,
        "pathParameters": dict(path) if path else None,
        "stageVariables": None,
        "requestContext": {"requestId": "req-1", "stage": "local", "httpMethod": method, "resourcePath": route},
        "body": encoded,
        "isBase64Encoded": isinstance(body, bytes),
    }


def _many(values: Mapping[str, str | Sequence[str]] | None) -> dict[str, list[str]]:
    given = values or {}
    return {name: [value] if isinstance(value, str) else list(value) for name, value in given.items()}
