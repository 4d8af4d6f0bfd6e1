import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from infra.local.stripe_double.strictness import complaints, kinds_in
from tests.contract.stripe_double.receiver import Receiver


class CheckedClient(stripe.RequestsClient):
    """Stripe's own HTTP client that judges every answer by the SDK's description of it."""

    def __init__(self) -> None:
        super().__init__(timeout=10)
        self.complaints: list[str] = []
        self.kinds: set[str] = set()
        self.headers: Mapping[str, str] = {}

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **rest: Any) -> Any:
        content, status, answered = super().request(method, url, headers, post_data, **rest)
        body = json.loads(content)
        self.complaints += [f"{method} {url}: {complaint}" for complaint in complaints(body)]
        self.kinds |= kinds_in(body)
        self.headers = answered
        return content, status, answered


@dataclass(frozen=True)
class Shop:
    """A small catalog."""

    product: str
    monthly: str  # $12.00
    yearly: str  # $120.00
    once: str  # $99.00


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with StripeDouble() as running:
        yield running


@pytest.fixture
def checked() -> Iterator[CheckedClient]:
    client = CheckedClient()
    yield client
    assert client.complaints == []
    client.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def client(double: StripeDouble, checked: CheckedClient) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_contract", base_addresses={"api": double.url}, http_client=checked)


@pytest.fixture
def shop(client: stripe.StripeClient) -> Shop:
    product = client.v1.products.create({"name": "Pro"}).id

    def price(amount: int, interval: str | None = None) -> str:
        params: Any = {"product": product, "currency": "usd", "unit_amount": amount}
        if interval:
            params["recurring"] = {"interval": interval}
        return client.v1.prices.create(params).id

    return Shop(product, price(1200, "month"), price(12000, "year"), price(9900))


@pytest.fixture
def receiver(client: stripe.StripeClient, double: StripeDouble) -> Iterator[Receiver]:
    """A webhook endpoint that hears everything."""
    hearing = Receiver()
    endpoint = client.v1.webhook_endpoints.create({"url": hearing.url, "enabled_events": ["*"]})
    hearing.secret = str(endpoint.secret)
    yield hearing
    double.control.reset()
    hearing.stop()
    assert hearing.complaints == []
