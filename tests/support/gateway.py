"""POSTs to a function through literal gateway events, and what comes back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billing.runtime.entrypoint import Handle
from tests.support.wire import CONTEXT, rest_event


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """Of a problem document."""
        assert self.headers["content-type"] == "application/problem+json", self.text
        assert self.body["status"] == self.status
        return str(self.body["code"])

    @property
    def pointers(self) -> list[str]:
        return [fault["pointer"] for fault in self.body["errors"]]


def post(
    handle: Handle,
    route: str,
    body: object = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    path: Mapping[str, str] | None = None,
) -> Answer:
    """`route` as `POST /api/v1/…`; `body` as JSON, or text and bytes as they are."""
    return ask(handle, route, body, key=key, headers=headers, path=path)


def ask(
    handle: Handle,
    route: str,
    body: object = None,
    *,
    key: str | None = None,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    query: Mapping[str, str | Sequence[str]] | None = None,
    path: Mapping[str, str] | None = None,
) -> Answer:
    """`route` with its method and as its template: `GET /api/v1/admin/projects/{project_id}`."""
    method, _, template = route.partition(" ")
    sent: dict[str, str | Sequence[str]] = dict(headers or {})
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    text = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
    answer = handle(rest_event(method, template, headers=sent, query=query, body=text, path=path), CONTEXT)
    return Answer(answer["statusCode"], answer["headers"], answer["body"])
