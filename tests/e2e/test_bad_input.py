"""What the HTTP front refuses, with which status, and that nothing comes of it."""

import json
import time
from typing import Any

import psycopg
import pytest
import urllib3

from infra.local.seed import APP_URL
from infra.local.story import App, until
from tests.support.aws import sqs_client

ORDER = {"user_id": "mallory", "lookup_key": "pro_monthly", "success_url": APP_URL, "cancel_url": APP_URL}
CHECK = "/api/v1/entitlements/check?user_id=mallory&feature=export"


def request(app: App, method: str, path: str, **arguments: Any) -> urllib3.BaseHTTPResponse:
    return app.http.request(method, app.stack.api_url + path, **arguments)


def stored_events(app: App) -> int:
    with psycopg.connect(app.stack.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM inbox").fetchone()
    assert row is not None
    return int(row[0])


def queued_events(app: App) -> int:
    with sqs_client(app.stack.aws_endpoint_url) as client:
        found = client.get_queue_attributes(QueueUrl=app.stack.queue_url, AttributeNames=["All"])["Attributes"]
    return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


@pytest.mark.parametrize("path", ["/healthz", "/ready"])
def test_health_is_open_to_all(app: App, path: str) -> None:
    assert request(app, "GET", path).status == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Bearer bk_test_{'a' * 51}{'0' * 8}"}],
    ids=["no key", "no key at all", "a key nobody has"],
)
@pytest.mark.parametrize(("method", "path"), [("GET", CHECK), ("POST", "/api/v1/checkout"), ("POST", "/api/v1/portal")])
def test_a_wrong_or_missing_key_is_401(app: App, method: str, path: str, headers: dict[str, str]) -> None:
    answer = request(app, method, path, headers=headers)
    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("signature", [None, "", "t=1,v1=00", f"t={int(time.time())},v1={'0' * 64}", "v1=é"])
def test_a_forged_webhook_is_400_and_nothing_is_stored(app: App, signature: str | None) -> None:
    until(lambda: {"queued": queued_events(app)}, lambda found: found["queued"] == 0)  # what others have sent
    before = stored_events(app)
    headers = {} if signature is None else {"Stripe-Signature": signature}
    body = json.dumps({"id": "evt_forged", "type": "customer.subscription.updated"})
    answer = request(app, "POST", "/api/v1/webhooks/stripe", body=body, headers=headers)
    assert answer.status == 400
    assert (stored_events(app), queued_events(app)) == (before, 0)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"lookup_key": "nobody_sells_this"}, "/lookup_key"),
        ({"success_url": "https://evil.example/thanks"}, "/success_url"),
        ({"surprise": 1}, "/surprise"),
    ],
)
def test_an_order_that_cannot_be_is_422_and_points_at_the_member(
    app: App, change: dict[str, object], pointer: str
) -> None:
    status, problem = app.call("POST", "/api/v1/checkout", {**ORDER, **change})
    assert status == 422
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


def test_malformed_json_is_400(app: App) -> None:
    headers = {"Authorization": f"Bearer {app.stack.project_key}", "Idempotency-Key": "malformed"}
    assert request(app, "POST", "/api/v1/checkout", body="{", headers=headers).status == 400


def test_a_portal_for_a_stranger_is_404(app: App) -> None:
    status, _ = app.call("POST", "/api/v1/portal", {"user_id": "stranger", "return_url": APP_URL})
    assert status == 404


def test_another_projects_portal_is_403(app: App) -> None:
    body = {"user_id": "stranger", "return_url": APP_URL, "project_id": "other"}
    status, _ = app.call("POST", "/api/v1/portal", body)
    assert status == 403
