"""The client against the running system, and its fake beside it: each behaviour is the same in both."""

import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypedDict

import pytest
import urllib3

from billing_client import BillingClient, Checkout, Options, Refused
from billing_client.testing import FakeBilling
from infra.local.browser import open_page, press
from infra.local.kept import Stack
from infra.local.package import REPOSITORY
from infra.local.seed import APP_URL


class Urls(TypedDict):
    success_url: str
    cancel_url: str


ORDER: Urls = {"success_url": f"{APP_URL}/thanks?session={{CHECKOUT_SESSION_ID}}", "cancel_url": f"{APP_URL}/pricing"}
ALWAYS_ASK = Options(fresh_for=0, stale_for=0, denied_for=0)
FEATURES = {"export": "boolean", "notes": "limit", "seats": "limit", "theme": "config"}


class World(Protocol):
    """What an operator and a user do beside the micro-app."""

    def client(self, options: Options) -> BillingClient: ...

    def grant(
        self, user_id: str, feature: str, value: Any, *, since: datetime | None = None, until: datetime | None = None
    ) -> None: ...

    def deny(self, user_id: str, feature: str) -> None: ...

    def pay(self, checkout: Checkout) -> None: ...


@dataclass
class Real:
    stack: Stack

    def client(self, options: Options) -> BillingClient:
        return BillingClient(self.stack.api_url, self.stack.project_key, options, project_id=self.stack.project_id)

    def grant(
        self, user_id: str, feature: str, value: Any, *, since: datetime | None = None, until: datetime | None = None
    ) -> None:
        times = {"valid_from": since, "valid_to": until}
        given = {name: at.isoformat() for name, at in times.items() if at is not None}
        self._order({"user_id": user_id, "feature": feature, "value": value, **given})

    def deny(self, user_id: str, feature: str) -> None:
        self._order({"user_id": user_id, "feature": feature, "denial": True})

    def pay(self, checkout: Checkout) -> None:
        press(open_page(checkout.url), "Pay")

    def _order(self, body: dict[str, Any]) -> None:
        answer = urllib3.request(
            "POST",
            f"{self.stack.api_url}/api/v1/admin/grant",
            json={"project_id": self.stack.project_id, "reason": "test", **body},
            headers={"Authorization": f"Bearer {self.stack.admin_key}", "Idempotency-Key": str(uuid.uuid4())},
        )
        assert answer.status == 201, answer.data


class Fake:
    def __init__(self) -> None:
        sells = {"pro_monthly": {"export": True, "notes": "unlimited", "seats": 1}}
        self._fake = FakeBilling(FEATURES, sells=sells)

    def client(self, options: Options) -> BillingClient:
        return self._fake.client(options)

    def grant(
        self, user_id: str, feature: str, value: Any, *, since: datetime | None = None, until: datetime | None = None
    ) -> None:
        self._fake.grant(user_id, feature, value, since=since, until=until)

    def deny(self, user_id: str, feature: str) -> None:
        self._fake.deny(user_id, feature)

    def pay(self, checkout: Checkout) -> None:
        self._fake.pay(checkout.session_id)


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest) -> World:
    return Fake() if request.param == "fake" else Real(request.getfixturevalue("stack"))


@pytest.fixture
def billing(world: World) -> Iterator[BillingClient]:
    with world.client(ALWAYS_ASK) as client:
        yield client


@pytest.fixture
def user_id() -> str:
    return f"user-{uuid.uuid4().hex[:10]}"


def soon() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


def test_a_user_nobody_knows_holds_nothing(billing: BillingClient, user_id: str) -> None:
    check = billing.check(user_id, "export")

    assert (check.allowed, check.value, check.reason, check.valid_to) == (False, None, "no_source", None)
    assert (check.source, check.degraded) == ("service", False)
    assert dict(billing.entitlements(user_id).held) == {}


def test_a_grant_is_held_with_its_value_till_its_end(world: World, billing: BillingClient, user_id: str) -> None:
    until = soon()
    before = billing.check(user_id, "notes").version
    world.grant(user_id, "notes", 7, until=until)

    check, held = billing.check(user_id, "notes"), billing.entitlements(user_id).held["notes"]

    assert (check.allowed, check.value, check.reason, check.valid_to) == (True, 7, "entitled", until)
    assert (held.type, held.value, held.valid_to) == ("limit", 7, until)
    assert check.version > before


def test_a_denial_beats_a_grant(world: World, billing: BillingClient, user_id: str) -> None:
    world.grant(user_id, "export", value=True)
    world.deny(user_id, "export")

    assert billing.check(user_id, "export").reason == "denied"
    assert "export" not in billing.entitlements(user_id)


def test_what_begins_later_is_not_held_yet(world: World, billing: BillingClient, user_id: str) -> None:
    world.grant(user_id, "export", value=True, since=soon())

    check = billing.check(user_id, "export")

    assert (check.allowed, check.reason, check.valid_to) == (False, "not_started", soon())


def test_many_checks_are_each_as_alone(world: World, billing: BillingClient, user_id: str) -> None:
    world.grant(user_id, "theme", {"name": "dawn"})

    checks = billing.check_many([(user_id, "theme"), (user_id, "export"), ("nobody", "theme"), (user_id, "exprot")])

    assert [check.reason for check in checks] == ["entitled", "no_source", "no_source", "feature_not_found"]
    assert checks[0].value == {"name": "dawn"}


def test_a_purchase_is_held_after_its_sync_whatever_was_remembered(world: World, user_id: str) -> None:
    with world.client(Options(denied_for=3600)) as billing:
        assert not billing.check(user_id, "export")
        checkout = billing.open_checkout(user_id, lookup_key="pro_monthly", **ORDER)
        world.pay(checkout)
        synced = billing.sync_checkout(checkout.session_id, user_id=user_id)

        assert (synced.session_id, synced.status, synced.payment_status) == (checkout.session_id, "complete", "paid")
        assert billing.check(user_id, "export")
        assert billing.check(user_id, "notes").value == "unlimited"
        assert billing.open_portal(user_id, f"{APP_URL}/account").startswith("http")


def test_a_key_used_again_gives_the_same_checkout_and_no_other(billing: BillingClient, user_id: str) -> None:
    first, again = (
        billing.open_checkout(user_id, idempotency_key=user_id, lookup_key="pro_monthly", **ORDER) for _ in range(2)
    )
    assert first == again

    with pytest.raises(Refused) as refused:
        billing.open_checkout("other", idempotency_key=user_id, lookup_key="pro_monthly", **ORDER)
    assert (refused.value.code, refused.value.status) == ("idempotency_mismatch", 422)


def test_refusals_have_the_same_codes(billing: BillingClient, user_id: str) -> None:
    with pytest.raises(Refused) as price:
        billing.open_checkout(user_id, lookup_key="gold", **ORDER)
    with pytest.raises(Refused) as customer:
        billing.open_portal(user_id, f"{APP_URL}/account")
    with pytest.raises(Refused) as session:
        billing.sync_checkout("cs_test_unknown")

    assert [(told.value.code, told.value.status) for told in (price, customer, session)] == [
        ("price_not_found", 422),
        ("customer_not_found", 404),
        ("session_not_found", 404),
    ]


def test_an_unchanged_list_is_confirmed_and_a_changed_one_is_new(
    world: World, billing: BillingClient, user_id: str
) -> None:
    world.grant(user_id, "export", value=True)
    first = billing.entitlements(user_id)
    confirmed = billing.entitlements(user_id)
    world.grant(user_id, "notes", 7)
    changed = billing.entitlements(user_id)

    assert confirmed == first
    assert (sorted(changed.held), changed.version > first.version) == (["export", "notes"], True)


def test_a_token_proves_what_the_list_says_and_the_next_one_what_changed(
    world: World, billing: BillingClient, user_id: str
) -> None:
    until = soon()
    world.grant(user_id, "notes", 7, until=until)
    world.grant(user_id, "export", value=True)
    proven = billing.verify(billing.token(user_id).token)
    world.deny(user_id, "export")
    after = billing.verify(billing.token(user_id).token)

    assert (proven.user_id, proven.value("notes"), proven.held["notes"].valid_to) == (user_id, 7, until)
    assert (proven.allows("export"), after.allows("export"), after.allows("notes")) == (True, False, True)
    assert timedelta(0) < proven.expires_at - proven.issued_at <= timedelta(minutes=5)
    assert after.version > proven.version


def test_why_and_what_is_sold_are_told(billing: BillingClient, user_id: str) -> None:
    told = billing.explain(user_id, "export")

    assert (told["allowed"], told["reason"], told["feature"]) == (False, "no_source", "export")
    assert {feature["code"] for feature in billing.catalog()["features"]} >= set(FEATURES)


def test_a_key_that_opens_nothing_is_a_refusal_not_an_outage(stack: Stack) -> None:
    with BillingClient(stack.api_url, "bk_test_unknown") as billing, pytest.raises(Refused) as refused:
        billing.check("ada", "export")

    assert (refused.value.code, refused.value.status) == ("invalid_api_key", 401)
    assert refused.value.request_id


def test_the_pages_examples_run_as_they_stand(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "client.md").read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"url": stack.api_url, "key": stack.project_key, "__name__": "examples"}
    with ExitStack() as clients:
        for number, block in enumerate(blocks):
            exec(compile(block, f"docs/client.md, block {number}", "exec"), names)  # noqa: S102  our own page
            clients.callback(names["billing"].close)

    printed = capsys.readouterr().out
    assert "False None no_source None" in printed
    assert "unpaid" in printed
    assert "ada False" in printed
    assert len(blocks) == 9
