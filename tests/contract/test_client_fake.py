"""The fake service for micro-apps' tests answers in the shapes of docs/openapi.json, and the client asks in them."""

from typing import TypedDict

import httpx
import jsonschema_rs
import pytest

from billing_client import BillingClient, Options, Refused
from billing_client.testing import KEY, URL, FakeBilling
from infra.openapi import DOCUMENT
from tests.support.contract import fault_of
from tests.support.gateway import Answer

SYNC = "/api/v1/checkout/{session_id}/sync"


class Urls(TypedDict):
    success_url: str
    cancel_url: str


ORDER: Urls = {"success_url": "https://app.example/thanks", "cancel_url": "https://app.example/pricing"}


class Witness(httpx.BaseTransport):
    """Holds each exchange against the contract."""

    def __init__(self, fake: FakeBilling) -> None:
        self.routes: set[str] = set()
        self.statuses: set[int] = set()
        self._fake = fake.transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._fake.handle_request(request)
        path = SYNC if request.url.path.endswith("/sync") else request.url.path
        route = f"{request.method} {path}"
        headers = dict(response.headers) | {"content-type": response.headers.get("content-type", "")}
        assert fault_of(route, Answer(response.status_code, headers, response.text)) is None, route
        self.routes.add(route)
        self.statuses.add(response.status_code)
        return response


def test_every_answer_of_the_fake_is_as_the_contract_tells() -> None:
    fake = FakeBilling({"export": "boolean", "seats": "limit"}, sells={"pro": {"export": True, "seats": 5}})
    witness = Witness(fake)
    with BillingClient(URL, KEY, Options(fresh_for=0, stale_for=0), project_id="fake", transport=witness) as billing:
        session_id = billing.open_checkout("ada", lookup_key="pro", **ORDER).session_id
        billing.sync_checkout(session_id)
        fake.pay(session_id)
        billing.sync_checkout(session_id)
        fake.deny("ada", "seats")
        for feature in ("export", "seats", "exprot"):
            billing.check("ada", feature)
            billing.explain("ada", feature)
        billing.check_many([("ada", "export"), ("nobody", "seats")])
        billing.entitlements("ada")
        billing.entitlements("ada")
        billing.catalog()
        billing.open_portal("ada", "https://app.example/account")
        billing.verify(billing.token("ada").token)
        with pytest.raises(Refused):
            billing.open_portal("nobody", "https://app.example/account")
        with pytest.raises(Refused):
            billing.sync_checkout("cs_unknown")
        with pytest.raises(Refused):
            billing.open_checkout("ada", lookup_key="gold", **ORDER)
        with fake.down():
            billing.check("ada", "export")

    assert len(witness.routes) == 10
    assert witness.statuses == {200, 201, 304, 404, 422, 503}


def test_every_member_of_an_order_is_one_the_service_takes() -> None:
    body = jsonschema_rs.validator_for({"$ref": "#/components/schemas/CheckoutBody", "components": _components()})
    sent: list[bytes] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(422)

    with BillingClient(URL, KEY, transport=httpx.MockTransport(note)) as billing:
        with pytest.raises(Refused):
            billing.open_checkout(
                "ada",
                **ORDER,
                price="price_1",
                quantity=2,
                email="a@b.example",
                trial_days=0,
                promotion_code="promo_1",
                allow_promotion_codes=True,
                allow_multiple=True,
            )
        with pytest.raises(Refused):
            billing.open_checkout("ada", **ORDER, line_items=[{"lookup_key": "pro", "quantity": 2}])

    for each in sent:
        body.validate(httpx.Response(200, content=each).json())
    assert b'"trial_days": 0' in sent[0]


def _components() -> object:
    return httpx.Response(200, content=DOCUMENT.read_bytes()).json()["components"]
