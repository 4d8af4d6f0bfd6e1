"""Stripe's API as the world outside uses it: plain HTTP, none of the product's code and no SDK."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

Obj = dict[str, Any]


class Declined(Exception):
    """Stripe said no: what the world wanted is not possible now."""


class StripeApi:
    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=30)

    def get(self, path: str, **params: Any) -> Obj:
        return self._ask("GET", f"{path}?{urlencode(params)}" if params else path, "")

    def post(self, path: str, **form: Any) -> Obj:
        """Nested parameters are spelled out by the caller: `**{"items[0][price]": …}`."""
        return self._ask("POST", path, urlencode(form))

    def delete(self, path: str) -> Obj:
        return self._ask("DELETE", path, "")

    def all(self, path: str, **params: Any) -> list[Obj]:
        """Every row of a list, newest first."""
        return list(self._rows(path, params))

    def newer(self, path: str, than: str | None) -> list[Obj]:
        """The rows made after the row `than`, oldest first."""
        rows: list[Obj] = []
        while True:
            page = self.get(path, limit=100, **({} if than is None else {"ending_before": than}))
            rows += reversed(page["data"])
            if than is None or not page["data"]:
                return rows
            than = page["data"][0]["id"]

    def close(self) -> None:
        self._connection.close()

    def _rows(self, path: str, params: Obj) -> Iterator[Obj]:
        after: Obj = {}
        while True:
            page = self.get(path, limit=100, **params, **after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    def _ask(self, method: str, path: str, body: str) -> Obj:
        headers = {"Authorization": "Bearer sk_test_world", "Stripe-Version": "2026-10-28.endive"}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        document: Obj = json.loads(answer.read())
        if answer.status >= 400:
            raise Declined(f"{method} {path}: {document['error'].get('message')}")
        return document
