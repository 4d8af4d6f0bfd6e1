"""Django: a view that only those who hold a feature get into.

    gate = Gate(billing, user_id=lambda request: request.user.get_username() or None)

    @gate("export")
    def export(request): ...

An async view is gated by a Gate of an AsyncBillingClient.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from billing_client.aio import AsyncBillingClient
from billing_client.answers import Check
from billing_client.client import BillingClient
from billing_client.gates import Turned, turned_away, unknown_user

View = Callable[..., Any]


class Gate:
    """`user_id`: whose request it is, None for one who is not signed in (401). The view finds the check in
    `request.billing_check`.
    """

    def __init__(self, billing: BillingClient | AsyncBillingClient, user_id: Callable[[Any], str | None]) -> None:
        self._billing = billing
        self._user_id = user_id

    def __call__(self, feature: str) -> Callable[[View], View]:
        """A decorator: others get 401, 403 or 503 as a problem document. TypeError: the client is of the other kind."""

        def decorate(view: View) -> View:
            billing = self._billing
            if isinstance(billing, AsyncBillingClient) and iscoroutinefunction(view):
                return self._of_async(view, lambda user_id: billing.check(user_id, feature))
            if isinstance(billing, BillingClient) and not iscoroutinefunction(view):
                return self._of_sync(view, lambda user_id: billing.check(user_id, feature))
            raise TypeError(f"{view.__name__}: gate async views by an AsyncBillingClient, others by a BillingClient")

        return decorate

    def _of_sync(self, view: View, check: Callable[[str], Check]) -> View:
        @wraps(view)
        def gated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            user_id = self._user_id(request)
            turned = unknown_user() if user_id is None else _let_in(request, check(user_id))
            return view(request, *args, **kwargs) if turned is None else _answer(turned)

        return gated

    def _of_async(self, view: View, check: Callable[[str], Awaitable[Check]]) -> View:
        @wraps(view)
        async def gated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            user_id = self._user_id(request)
            turned = unknown_user() if user_id is None else _let_in(request, await check(user_id))
            return await view(request, *args, **kwargs) if turned is None else _answer(turned)

        return gated


def _let_in(request: HttpRequest, check: Check) -> Turned | None:
    request.billing_check = check
    return turned_away(check)


def _answer(turned: Turned) -> HttpResponse:
    return JsonResponse(
        turned.problem, status=turned.status, headers=turned.headers, content_type="application/problem+json"
    )
