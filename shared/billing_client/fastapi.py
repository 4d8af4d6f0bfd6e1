"""FastAPI: a route that only those who hold a feature get into.

gate = Gate(billing, user_id=lambda request: request.session.get("user_id"))

@app.get("/export", dependencies=[Depends(gate("export"))])
async def export() -> Response: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable

from fastapi import HTTPException, Request

from billing_client.aio import AsyncBillingClient
from billing_client.answers import Check
from billing_client.gates import Turned, turned_away, unknown_user

UserOf = Callable[[Request], str | Awaitable[str | None] | None]


class Gate:
    """`user_id`: whose request it is, None for one who is not signed in (401)."""

    def __init__(self, billing: AsyncBillingClient, user_id: UserOf) -> None:
        self._billing = billing
        self._user_id = user_id

    def __call__(self, feature: str) -> Callable[[Request], Awaitable[Check]]:
        """A dependency: it gives the Check, or answers 401, 403 or 503 with a problem in `detail`."""

        async def held(request: Request) -> Check:
            found = self._user_id(request)
            user_id = await found if isawaitable(found) else found
            if user_id is None:
                raise _answer(unknown_user())
            check = await self._billing.check(user_id, feature)
            turned = turned_away(check)
            if turned is not None:
                raise _answer(turned)
            return check

        # FastAPI reads the annotation by name from this module: `Request` must be the class itself
        held.__annotations__ = {"request": Request, "return": Check}
        return held


def _answer(turned: Turned) -> HTTPException:
    return HTTPException(turned.status, turned.problem, turned.headers)
