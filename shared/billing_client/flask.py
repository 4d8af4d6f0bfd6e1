"""Flask: a view that only those who hold a feature get into.

gate = Gate(billing, user_id=lambda: session.get("user_id"))

@app.get("/export")
@gate("export")
def export(): ...
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Response, g

from billing_client.client import BillingClient
from billing_client.gates import Turned, turned_away, unknown_user

P = ParamSpec("P")
R = TypeVar("R")


class Gate:
    """`user_id`: whose request it is, None for one who is not signed in (401). The check is in `g.billing_check`."""

    def __init__(self, billing: BillingClient, user_id: Callable[[], str | None]) -> None:
        self._billing = billing
        self._user_id = user_id

    def __call__(self, feature: str) -> Callable[[Callable[P, R]], Callable[P, R | Response]]:
        """A decorator, under the route's: others get 401, 403 or 503 as a problem document."""

        def decorate(view: Callable[P, R]) -> Callable[P, R | Response]:
            @wraps(view)
            def gated(*args: P.args, **kwargs: P.kwargs) -> R | Response:
                user_id = self._user_id()
                if user_id is None:
                    return _answer(unknown_user())
                g.billing_check = self._billing.check(user_id, feature)
                turned = turned_away(g.billing_check)
                return view(*args, **kwargs) if turned is None else _answer(turned)

            return gated

        return decorate


def _answer(turned: Turned) -> Response:
    return Response(json.dumps(turned.problem), turned.status, turned.headers, mimetype="application/problem+json")
