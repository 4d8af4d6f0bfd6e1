"""The handlers' own part: what of an event becomes a question, and what of an answer a response."""

import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.domain import keys
from billing.runtime.settings import BadSettings
from functions.entitlements import handler as entitlements
from functions.health import handler as health
from functions.webhooks import handler as webhooks
from tests.support.scripted_http import reply, scripted
from tests.support.wire import CONTEXT, rest_event

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"
SETTINGS = {
    **CREDENTIALS,
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "TABLE_NAME": "table",
    "DATABASE_URL": NOWHERE,
    "QUEUE_URL": "http://queue",
    "STRIPE_WEBHOOK_SECRET_ID": "webhook",
}
KEY = keys.mint("test", "notes", secrets.token_bytes(32))
SECRET = reply(json.dumps({"SecretString": '{"secrets": ["whsec_a"]}'}).encode())


def code_of(answer: dict[str, Any]) -> tuple[int, str]:
    return answer["statusCode"], json.loads(answer["body"])["code"]


def asked(method: str, route: str, query: dict[str, Any] | None = None, key: str = KEY) -> tuple[int, str]:
    event = rest_event(method, route, query=query or {"user_id": "ann"}, headers={"Authorization": f"Bearer {key}"})
    return code_of(entitlements.build(SETTINGS, lambda: NOW)(event, CONTEXT))


def test_with_table_and_store_out_of_reach_a_check_is_503() -> None:
    assert asked("GET", entitlements.LIST) == (503, "unavailable")
    assert asked("GET", entitlements.CHECK, {"user_id": "ann", "feature": "export"}) == (503, "unavailable")


@pytest.mark.parametrize(
    ("method", "route", "expected"),
    [
        ("GET", "/api/v1/else", (404, "not_found")),
        ("POST", entitlements.LIST, (405, "method_not_allowed")),
        ("GET", entitlements.CHECK, (422, "invalid_request")),
    ],
)
def test_a_request_that_asks_nothing_answerable_is_a_problem(
    method: str, route: str, expected: tuple[int, str]
) -> None:
    assert asked(method, route) == expected


@pytest.mark.parametrize("user_id", ["", "x" * 256, "a\x00", ["a", "b"]])
def test_a_user_id_that_is_none_is_a_problem(user_id: Any) -> None:
    assert asked("GET", entitlements.LIST, {"user_id": user_id}) == (422, "invalid_request")


def test_a_garbled_key_is_401() -> None:
    assert asked("GET", entitlements.LIST, key="bk_test_guess") == (401, "invalid_api_key")


def test_a_webhook_is_accepted_and_queued() -> None:
    header = f"t={int(NOW.timestamp())},v1="
    header += hmac.new(b"whsec_a", f"{int(NOW.timestamp())}.".encode() + b"{}", hashlib.sha256).hexdigest()
    with scripted(SECRET, reply(b'{"MessageId":"1"}')) as server:
        handler = webhooks.build({**SETTINGS, "AWS_ENDPOINT_URL": server.url}, lambda: NOW)
        answer = handler(rest_event("POST", "/hook", headers={"Stripe-Signature": header}, body=b"{}"), CONTEXT)
    assert (answer["statusCode"], answer["body"]) == (200, '{"received":true}')


@pytest.mark.parametrize("body", [b"{}", "%%%"])
def test_a_webhook_without_a_fitting_signature_is_400(body: str | bytes) -> None:
    with scripted(SECRET) as server:
        handler = webhooks.build({**SETTINGS, "AWS_ENDPOINT_URL": server.url}, lambda: NOW)
        event = rest_event("POST", "/hook", headers={"Stripe-Signature": "t=1,v1=0"}, body=body)
        answer = handler({**event, "isBase64Encoded": True}, CONTEXT)
    assert code_of(answer) == (400, "invalid_signature")


def test_the_health_function_is_alive_and_names_all_that_is_not() -> None:
    handler = health.build(SETTINGS)
    alive, ready, other = (
        handler(rest_event("GET", route), CONTEXT) for route in (health.HEALTHZ, health.READY, "/else")
    )
    assert (alive["statusCode"], alive["body"]) == (200, '{"status":"alive"}')
    assert code_of(ready) == (503, "not_ready")
    checks = json.loads(ready["body"])["checks"]
    assert [name for name, state in checks.items() if state != "ok"] == ["postgresql", "migrations", "dynamodb"]
    assert code_of(other) == (404, "not_found")


@pytest.mark.parametrize("build", [entitlements.build, webhooks.build, health.build])
def test_missing_settings_stop_the_cold_start(build: Any) -> None:
    with pytest.raises(BadSettings, match="is missing"):
        build(CREDENTIALS)
