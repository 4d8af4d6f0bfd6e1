"""Either client, asked the same way, so that each behaviour is tested once for both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, Unpack

from billing_client import AsyncBillingClient, BillingClient, Check, Checkout, Entitlements, Options, Synced, Token
from billing_client.orders import Order
from billing_client.testing import FakeBilling
from billing_client.tokens import Claims

T = TypeVar("T")

PATIENCE_SECONDS = 10.0


class Blocking:
    """The async client, driven on a loop of its own."""

    def __init__(self, billing: AsyncBillingClient, runner: asyncio.Runner) -> None:
        self._billing = billing
        self._runner = runner

    def check(self, user_id: str, feature: str) -> Check:
        return self._run(self._billing.check(user_id, feature))

    def check_many(self, pairs: Sequence[tuple[str, str]]) -> list[Check]:
        return self._run(self._billing.check_many(pairs))

    def entitlements(self, user_id: str) -> Entitlements:
        return self._run(self._billing.entitlements(user_id))

    def explain(self, user_id: str, feature: str) -> dict[str, Any]:
        return self._run(self._billing.explain(user_id, feature))

    def catalog(self) -> dict[str, Any]:
        return self._run(self._billing.catalog())

    def open_checkout(self, user_id: str, *, idempotency_key: str | None = None, **order: Unpack[Order]) -> Checkout:
        return self._run(self._billing.open_checkout(user_id, idempotency_key=idempotency_key, **order))

    def sync_checkout(self, session_id: str, *, user_id: str | None = None) -> Synced:
        return self._run(self._billing.sync_checkout(session_id, user_id=user_id))

    def open_portal(self, user_id: str, return_url: str) -> str:
        return self._run(self._billing.open_portal(user_id, return_url))

    def token(self, user_id: str) -> Token:
        return self._run(self._billing.token(user_id))

    def verify(self, token: str) -> Claims:
        return self._run(self._billing.verify(token))

    def forget(self, user_id: str) -> None:
        self._billing.forget(user_id)

    def breathe(self) -> None:
        """Let what goes on behind the scenes go on."""
        self._run(asyncio.sleep(0.001))

    def close(self) -> None:
        self._run(self._billing.aclose())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


Client = BillingClient | Blocking


class Desk:
    """A fake service, and clients of it."""

    def __init__(self, kind: str, runner: asyncio.Runner) -> None:
        self.fake = FakeBilling({"export": "boolean", "seats": "limit"}, sells={"pro": {"export": True, "seats": 5}})
        self._kind = kind
        self._runner = runner
        self._clients: list[Client] = []

    def client(self, **options: Any) -> Client:
        made: Client
        if self._kind == "sync":
            made = self.fake.client(Options(**options))
        else:
            made = Blocking(self.fake.async_client(Options(**options)), self._runner)
        self._clients.append(made)
        return made

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what happens behind the scenes. Fails after ten seconds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it never came about"
            for client in self._clients:
                if isinstance(client, Blocking):
                    client.breathe()
            time.sleep(0.001)
