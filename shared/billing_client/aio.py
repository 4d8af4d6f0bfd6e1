"""The client for asyncio: FastAPI, Starlette, Django's async views."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from billing_client import wire
from billing_client.answers import Check, Checkout, Document, Entitlements, Synced, Token
from billing_client.asking import Ask, Conversation, Lost, Pause, Reply, Send
from billing_client.core import Core, Pair
from billing_client.moments import Clock
from billing_client.options import Options
from billing_client.orders import Order
from billing_client.tokens import Claims

T = TypeVar("T")

_log = logging.getLogger("billing_client")


class AsyncBillingClient:
    """As BillingClient; one for an event loop. Close it by `aclose`, or use it in an `async with`.

    `url`: the service's, without `/api/v1`. `key`: the project's API key. `project_id`: only for `verify`.
    Every method that asks raises Refused and Unavailable; `check` and `check_many` turn the latter into the features'
    failure policies.
    """

    def __init__(
        self,
        url: str,
        key: str,
        options: Options | None = None,
        *,
        project_id: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._core = Core(options or Options(), clock or Clock(), project_id)
        self._http = httpx.AsyncClient(
            base_url=wire.base_url(url), headers=wire.headers(key), limits=wire.LIMITS, transport=transport
        )
        self._sleep = sleep
        self._refreshing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        refreshing = list(self._refreshing)
        for task in refreshing:
            task.cancel()
        await asyncio.gather(*refreshing, return_exceptions=True)
        await self._http.aclose()

    async def check(self, user_id: str, feature: str) -> Check:
        """May this user use this feature now? From memory within the times of `Options`, else by one request."""
        found = self._core.recall.check(user_id, feature)
        if found is None:
            return await self._drive(self._core.check(user_id, feature))
        if found.again:
            self._behind(self._core.refresh_check(user_id, feature))
        return found.answer

    async def check_many(self, pairs: Sequence[Pair]) -> list[Check]:
        """Of (user_id, feature) pairs, in their order: one request for each hundred that memory does not answer."""
        return await self._drive(self._core.check_many(pairs))

    async def entitlements(self, user_id: str) -> Entitlements:
        """All that the user holds; nothing, of a user nobody knows."""
        found = self._core.recall.entitlements(user_id)
        if found is None:
            return await self._drive(self._core.entitlements(user_id))
        if found.again:
            self._behind(self._core.refresh_entitlements(user_id))
        return found.answer

    async def explain(self, user_id: str, feature: str, at: datetime | None = None) -> Document:
        """Why, or why not: the rule, every source and the changes. `at` (with a time zone): as it was known then."""
        return await self._drive(self._core.explain(user_id, feature, wire.instant(at)))

    async def catalog(self) -> Document:
        """What the project sells and gates now."""
        return await self._drive(self._core.catalog())

    async def open_checkout(
        self, user_id: str, *, idempotency_key: str | None = None, **order: Unpack[Order]
    ) -> Checkout:
        """Send the user's browser to the answer's `url`.

        Without an `idempotency_key` the call has one of its own, the same at each retry; give one to make a repeated
        call the same checkout.
        """
        return await self._drive(self._core.open_checkout({"user_id": user_id, **order}, idempotency_key))

    async def sync_checkout(self, session_id: str, *, user_id: str | None = None) -> Synced:
        """Apply the checkout's outcome now, for the page the user comes back to; safe to repeat.

        What this client remembers as a no is asked again; with `user_id`, everything it remembers of that user that is
        older.
        """
        return await self._drive(self._core.sync_checkout(session_id, user_id))

    async def open_portal(self, user_id: str, return_url: str, *, idempotency_key: str | None = None) -> str:
        """The URL to send the user's browser to: it is good for minutes, and once."""
        return await self._drive(self._core.open_portal(user_id, return_url, idempotency_key))

    async def token(self, user_id: str) -> Token:
        """A signed copy of what the user may do now, good for minutes, for those who cannot ask."""
        return await self._drive(self._core.token(user_id))

    async def verify(self, token: str) -> Claims:
        """What a token proves, without asking: only the public keys are fetched, seldom. Raises BadToken.

        Needs `project_id` and the extra `billing_client[tokens]`.
        """
        return await self._drive(self._core.verify(token))

    def forget(self, user_id: str) -> None:
        """Ask anew about this user: after a change that one knows of, as by an `entitlements.changed` event."""
        self._core.recall.forget(user_id)

    def _behind(self, conversation: Conversation[None]) -> None:
        task = asyncio.get_running_loop().create_task(self._drive(conversation))
        self._refreshing.add(task)
        task.add_done_callback(self._renewed)

    def _renewed(self, task: asyncio.Task[None]) -> None:
        """The answer that could not be renewed is still there, till its time is over; then a caller hears of it."""
        self._refreshing.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.warning("could not renew an answer: %s", fault)

    async def _drive(self, conversation: Conversation[T]) -> T:
        reply: Reply | None = None
        lost: Lost | None = None
        try:
            while True:
                step = conversation.send(reply) if lost is None else conversation.throw(lost)
                reply = lost = None
                match step:
                    case Pause(seconds):
                        await self._sleep(seconds)
                    case Send(ask, timeout):
                        try:
                            reply = await self._send(ask, timeout)
                        except Lost as error:
                            lost = error
        except StopIteration as done:
            result: T = done.value
            return result

    async def _send(self, ask: Ask, timeout: float) -> Reply:  # noqa: ASYNC109  it is a step's, bounded right here
        """Raises Lost."""
        try:
            async with (
                asyncio.timeout(timeout),
                self._http.stream(
                    ask.method, ask.target, headers=ask.headers, content=ask.content, timeout=timeout
                ) as answer,
            ):
                body = wire.Body()
                async for chunk in answer.aiter_bytes():
                    body.add(chunk)
                return wire.reply(answer, body)
        except TimeoutError as error:
            raise Lost("the answer took too long") from error
        except httpx.RequestError as error:
            raise wire.lost(error) from error
