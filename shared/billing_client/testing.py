"""A billing service in memory, for micro-apps' own tests: a test says what users hold, and time moves when told.

    fake = FakeBilling()
    fake.grant("ada", "export")
    app = make_app(billing=fake.client())

The clients are the real ones, with their memory, retries and policies; only what they talk to is invented. The clock
stands still until the test moves it, and pauses between retries pass on it at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from billing_client.aio import AsyncBillingClient
from billing_client.client import BillingClient
from billing_client.moments import Clock
from billing_client.options import Options
from billing_client.pretend import Fault, Pretended
from billing_client.windows import FOREVER, Given

URL = "https://billing.test"
KEY = "bk_test_fake"


class FakeBilling:
    """`features`: the project's, where a typo shall answer `feature_not_found`; None: every feature exists.

    `sells`: what a price's lookup key gives, as {"pro_monthly": {"export": True, "seats": 5}}.
    """

    def __init__(
        self,
        features: Mapping[str, str] | None = None,
        *,
        sells: Mapping[str, Mapping[str, Any]] | None = None,
        project_id: str = "fake",
    ) -> None:
        self._passed = 0.0
        self._began = time.time()
        self._service = Pretended(project_id, URL, features, sells or {}, lambda: self.now)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    @property
    def requests(self) -> tuple[tuple[str, str], ...]:
        """(method, path) of all that came, refused or not."""
        return tuple(self._service.requests)

    def advance(self, seconds: float) -> None:
        """Let time pass, for the service and for all its clients."""
        self._passed += seconds

    def grant(
        self,
        user_id: str,
        feature: str,
        value: Any = True,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        """A source: true, a number or "unlimited", or any JSON. Several add up as the service adds them."""
        self._service.give(user_id, Given(feature, value, since or self.now, until or FOREVER))

    def deny(self, user_id: str, feature: str, *, until: datetime | None = None) -> None:
        """An operator's denial: it beats every source."""
        self._service.give(user_id, Given(feature, None, self.now, until or FOREVER, denial=True))

    def take(self, user_id: str, feature: str) -> None:
        """Sources and denials of it end now."""
        self._service.take(user_id, feature)

    def pay(self, session_id: str) -> None:
        """What the user does on the page of a checkout. KeyError: there is no such session."""
        self._service.pay(session_id)

    @contextmanager
    def down(self, how: Fault = "unavailable") -> Iterator[None]:
        """Meanwhile every request fails: `unreachable`, or with the problem of that code."""
        self._service.fault = how
        try:
            yield
        finally:
            self._service.fault = None

    def fail_next(self, times: int = 1, how: Fault = "unavailable") -> None:
        self._service.faults.extend([how] * times)

    @property
    def transport(self) -> httpx.MockTransport:
        """For an httpx client of one's own."""
        return httpx.MockTransport(self._service.answer)

    def client(self, options: Options | None = None) -> BillingClient:
        return BillingClient(
            URL,
            KEY,
            options,
            project_id=self._service.project_id,
            transport=self.transport,
            clock=self._clock(),
            sleep=self.advance,
        )

    def async_client(self, options: Options | None = None) -> AsyncBillingClient:
        return AsyncBillingClient(
            URL,
            KEY,
            options,
            project_id=self._service.project_id,
            transport=self.transport,
            clock=self._clock(),
            sleep=self._pass,
        )

    async def _pass(self, seconds: float) -> None:
        self.advance(seconds)

    def _clock(self) -> Clock:
        return Clock(lambda: self._passed, self._wall)

    def _wall(self) -> float:
        return self._began + self._passed
