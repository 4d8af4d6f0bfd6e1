"""A deployment looked at from the inside, and the webhook endpoint made, mended and rotated, on the real parts."""

import hmac
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from stripe import StripeClient

from billing.domain.signing import PLACEHOLDER
from billing.messages.queue import Accepted, to_message
from billing.payments.endpoints import EVENTS, list_endpoints
from billing.payments.signature import BadSignature
from billing.runtime.aws import SQS, AwsClient
from billing.store import runs
from billing.store.connection import transaction
from billing.usecases.accept_event import Ingress, accept_event
from tests.support.aws import SESSION, sqs_client
from tests.support.contract import fault_of
from tests.support.gateway import Answer
from tests.support.office import Office

READ = "GET /api/v1/admin/deployment"
WEBHOOK = "POST /api/v1/admin/deployment/webhook-endpoint"
HOST = "billing.example"
URL = f"https://{HOST}/api/v1/webhooks/stripe"
SECRET = re.compile(r"whsec_\w")
API_KEY = "sk_test_" + "x" * 24


@pytest.fixture
def deployed(office: Office) -> Office:
    """As a deployment leaves it: Stripe's key was stored, the webhook's secret is the placeholder."""
    keep(office, api_key={"api_key": API_KEY}, signing={"secrets": [], PLACEHOLDER: "p" * 32})
    return office


def keep(office: Office, **values: Mapping[str, Any]) -> None:
    manager = SESSION.client("secretsmanager", endpoint_url=office.environ["AWS_ENDPOINT_URL"])
    for name, value in values.items():
        secret, text = getattr(office.vault, name), json.dumps(value)
        try:
            manager.create_secret(Name=secret.secret_id, SecretString=text)
        except manager.exceptions.ResourceExistsException:
            manager.put_secret_value(SecretId=secret.secret_id, SecretString=text)
    manager.close()


def look(office: Office) -> dict[str, dict[str, str]]:
    """The findings by their checks."""
    answer = office.ask(READ, query={"webhook_url": URL})
    assert (answer.status, fault_of(READ, answer)) == (200, None)
    assert not SECRET.search(answer.text)
    assert API_KEY not in answer.text
    return {one["check"]: one for one in answer.body["checks"]}


def codes(office: Office) -> dict[str, str]:
    """The codes of what failed, by check."""
    return {check: one["code"] for check, one in look(office).items() if one["state"] == "failed"}


def take(office: Office, step: str, *, idempotency: str | None = None) -> Answer:
    answer = office.ask(WEBHOOK, {"step": step, "url": URL}, headers={"Host": HOST}, idempotency=idempotency)
    assert fault_of(WEBHOOK, answer) is None
    assert not SECRET.search(answer.text)
    return answer


def did(office: Office, step: str, *, idempotency: str | None = None) -> dict[str, Any]:
    answer = take(office, step, idempotency=idempotency)
    assert answer.status == 200, answer.text
    told: dict[str, Any] = answer.body
    return told


def secrets_of(office: Office) -> list[str]:
    found: list[str] = office.vault.signing.latest()["secrets"]
    return found


def ids(office: Office) -> list[str]:
    return [one.id for one in list_endpoints(office.shop.stripe).all]


def stripe_of(office: Office) -> StripeClient:
    return office.shop.stripe


def fits(office: Office, secret: str) -> bool:
    """Whether a delivery signed by it is taken."""
    body, now = b'{"id": "evt_1"}', office.shop.worker.now()
    at = int(now.timestamp())
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest()
    sqs = AwsClient(SQS, 2, office.environ)
    try:
        accept_event(Ingress(office.vault.signing, sqs, office.queue_url), body, f"t={at},v1={signature}", now)
    except BadSignature:
        return False
    finally:
        sqs.close()
    return True


def reconciled(office: Office, ago: timedelta) -> None:
    done_at = office.shop.worker.now() - ago
    with transaction(office.database_url) as connection:
        runs.insert_run(
            connection,
            "run_1",
            cause="schedule",
            actor="billing",
            project_id=None,
            passes=["events", "listing", "holdings", "cache"],
            dry_run=False,
            max_revocations=None,
            now=done_at,
        )
        runs.settle_run(connection, "run_1", "done", {}, now=done_at)


# --- what is looked at ---------------------------------------------------------------------------------------------


def test_a_fresh_deployment_lacks_its_endpoint_and_its_first_reconciliation(deployed: Office) -> None:
    assert codes(deployed) == {
        "webhook secret": "webhook_secret_unset",
        "webhook endpoint": "webhook_missing",
        "reconciliation": "reconciliation_never",
    }


def test_a_deployment_in_order_fails_nothing(deployed: Office) -> None:
    did(deployed, "create")
    reconciled(deployed, timedelta(hours=1))
    found = look(deployed)
    assert {check: one["state"] for check, one in found.items()} == dict.fromkeys(
        [
            "migrations",
            "outbox",
            "reconciliation",
            "cache",
            "queue",
            "dead letters",
            "stripe key",
            "webhook secret",
            "clock",
            "webhook endpoint",
        ],
        "ok",
    )


def test_secrets_that_are_not_there_are_told_and_nothing_else_is_hidden(office: Office) -> None:
    found = codes(office)
    assert (found["stripe key"], found["webhook secret"]) == ("secret_unreadable", "secret_unreadable")
    assert "cache" not in found


@pytest.mark.parametrize(
    ("values", "check", "code"),
    [
        ({"api_key": {"api_key": ""}}, "stripe key", "stripe_key_unset"),
        ({"api_key": {"api_key": "sk_live_" + "x" * 24}}, "stripe key", "stripe_key_mode"),
        ({"api_key": ["no object"]}, "stripe key", "secret_no_object"),
        ({"signing": {"secrets": ["plain"]}}, "webhook secret", "webhook_secret_malformed"),
        (
            {"signing": {"secrets": ["whsec_other"], "endpoints": ["we_gone"]}},
            "webhook endpoint",
            "webhook_secret_foreign",
        ),
    ],
)
def test_a_secret_that_does_not_fit_is_told_by_what_is_wrong(
    deployed: Office, values: dict[str, Any], check: str, code: str
) -> None:
    did(deployed, "create")
    keep(deployed, **values)
    assert codes(deployed)[check] == code


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"disabled": True}, "webhook_disabled", "disabled"),
        ({"enabled_events": list(EVENTS[1:])}, "webhook_events", f"lacks {EVENTS[0]}"),
        ({"enabled_events": [*EVENTS, "account.updated"]}, "webhook_events", "account.updated too much"),
        ({"enabled_events": ["*"]}, "webhook_events", "* too much"),
    ],
)
def test_an_endpoint_that_was_changed_is_told_and_create_mends_it(
    deployed: Office, change: Any, code: str, said: str
) -> None:
    (endpoint_id,) = did(deployed, "create")["created"]
    stripe_of(deployed).v1.webhook_endpoints.update(endpoint_id, change)
    found = look(deployed)["webhook endpoint"]
    assert (found["code"], said in found["detail"]) == (code, True)
    assert did(deployed, "create") == {"created": [], "mended": [endpoint_id], "deleted": [], "live_secrets": 1}
    assert "webhook endpoint" not in codes(deployed)


def test_an_endpoint_of_the_accounts_own_version_is_told(deployed: Office) -> None:
    wanted: Any = {"url": URL, "enabled_events": list(EVENTS)}
    made = stripe_of(deployed).v1.webhook_endpoints.create(wanted)
    keep(deployed, signing={"secrets": [made.secret], "endpoints": [made.id]})
    assert codes(deployed)["webhook endpoint"] == "webhook_version"


def test_a_second_endpoint_that_somebody_made_is_told(deployed: Office) -> None:
    did(deployed, "create")
    stripe_of(deployed).v1.webhook_endpoints.create({"url": URL, "enabled_events": ["invoice.paid"]})
    assert codes(deployed)["webhook endpoint"] == "webhook_duplicate"


def test_an_endpoint_elsewhere_is_not_ours_but_named(deployed: Office) -> None:
    elsewhere = "https://old.example/api/v1/webhooks/stripe"
    stripe_of(deployed).v1.webhook_endpoints.create({"url": elsewhere, "enabled_events": ["invoice.paid"]})
    found = look(deployed)["webhook endpoint"]
    assert (found["code"], elsewhere in found["detail"]) == ("webhook_missing", True)


def test_dead_letters_are_told(deployed: Office) -> None:
    letter = to_message(Accepted(b"{}", deployed.shop.worker.now()))
    with sqs_client(deployed.environ["AWS_ENDPOINT_URL"]) as sqs:
        sqs.send_message(QueueUrl=deployed.dead_letter_queue_url, MessageBody=letter)
    assert codes(deployed)["dead letters"] == "dead_letters"


def test_an_old_schema_is_told_and_no_table_is_asked_that_may_not_be_there(deployed: Office) -> None:
    with transaction(deployed.database_url) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations)")
    found = look(deployed)
    assert found["migrations"]["code"] == "migrations_behind"
    assert (found["outbox"]["state"], found["reconciliation"]["state"]) == ("unknown", "unknown")


def test_a_reconciliation_of_27_hours_ago_is_old(deployed: Office) -> None:
    reconciled(deployed, timedelta(hours=27))
    assert codes(deployed)["reconciliation"] == "reconciliation_old"


# --- the endpoint --------------------------------------------------------------------------------------------------


def test_the_endpoints_secret_is_stored_and_shown_to_nobody(deployed: Office) -> None:
    told = did(deployed, "create")
    assert told == {"created": ids(deployed), "mended": [], "deleted": [], "live_secrets": 1}
    (secret,) = secrets_of(deployed)
    assert secret.startswith("whsec_")
    assert secret not in deployed.log.getvalue()
    rows = deployed.shop.rows("SELECT actor, action, after::text FROM audit WHERE action LIKE 'webhook.%%'")
    assert [(actor, action) for actor, action, _ in rows] == [("ann the operator", "webhook.create")]
    assert all(secret not in after for _, _, after in rows)


def test_an_endpoint_that_is_as_it_should_be_is_left(deployed: Office) -> None:
    did(deployed, "create")
    before = secrets_of(deployed)
    assert did(deployed, "create") == {"created": [], "mended": [], "deleted": [], "live_secrets": 1}
    assert secrets_of(deployed) == before


def test_an_endpoint_whose_secret_is_lost_is_replaced(deployed: Office) -> None:
    (lost,) = did(deployed, "create")["created"]
    keep(deployed, signing={"secrets": []})
    told = did(deployed, "create")
    assert (told["deleted"], told["created"]) == ([lost], ids(deployed))
    assert "webhook endpoint" not in codes(deployed)


def test_a_rotation_refuses_no_delivery_from_beginning_to_end(deployed: Office) -> None:
    old_id, old = did(deployed, "create")["created"][0], secrets_of(deployed)[0]

    told = did(deployed, "rotate")
    (new_id,) = told["created"]
    _, new = secrets_of(deployed)
    assert told["live_secrets"] == 2
    assert codes(deployed)["webhook endpoint"] == "webhook_rotating"
    assert (fits(deployed, old), fits(deployed, new)) == (True, True)

    told = did(deployed, "finish")
    assert (told["deleted"], told["live_secrets"]) == ([old_id], 1)
    assert (ids(deployed), secrets_of(deployed)) == ([new_id], [new])
    assert (fits(deployed, old), fits(deployed, new)) == (False, True)
    assert "webhook endpoint" not in codes(deployed)


def test_a_rotation_is_not_begun_twice(deployed: Office) -> None:
    did(deployed, "create")
    did(deployed, "rotate")
    assert take(deployed, "rotate").code == "webhook_rotating"
    assert len(ids(deployed)) == 2


def test_a_rotation_sent_again_after_a_lost_answer_makes_no_third_endpoint(deployed: Office) -> None:
    did(deployed, "create")
    first = did(deployed, "rotate", idempotency="rotate-1")
    with transaction(deployed.database_url) as connection:
        connection.execute("DELETE FROM idempotency_keys")  # as if it had died before it stored its answer
    assert did(deployed, "rotate", idempotency="rotate-1") == first
    assert len(ids(deployed)) == 2


def test_a_finish_that_died_half_way_is_finished_by_another(deployed: Office) -> None:
    did(deployed, "create")
    (old_id,) = ids(deployed)
    (new_id,) = did(deployed, "rotate")["created"]
    stripe_of(deployed).v1.webhook_endpoints.delete(old_id)
    assert did(deployed, "finish") == {"created": [], "mended": [], "deleted": [], "live_secrets": 1}
    assert ids(deployed) == [new_id]


def test_what_a_person_stored_by_hand_rotates_too(deployed: Office) -> None:
    made = stripe_of(deployed).v1.webhook_endpoints.create({"url": URL, "enabled_events": ["invoice.paid"]})
    keep(deployed, signing={"secrets": [made.secret]})
    did(deployed, "rotate")
    assert did(deployed, "finish")["deleted"] == [made.id]
    assert "webhook endpoint" not in codes(deployed)


@pytest.mark.parametrize("step", ["rotate", "finish"])
def test_without_an_endpoint_there_is_nothing_to_rotate(deployed: Office, step: str) -> None:
    assert take(deployed, step).code == "webhook_not_found"


@pytest.mark.parametrize("host", ["other.example", "", f"{HOST}:8443"])
def test_events_are_sent_nowhere_but_to_where_the_operator_calls(deployed: Office, host: str) -> None:
    answer = deployed.ask(WEBHOOK, {"step": "create", "url": URL}, headers={"Host": host} if host else None)
    assert (answer.code, answer.pointers) == ("url_not_allowed", ["/url"])
    assert ids(deployed) == []
