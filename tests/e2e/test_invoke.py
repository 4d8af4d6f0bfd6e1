"""`make invoke` with the samples."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.invoke import invoke
from infra.local.kept import Stack
from infra.local.package import REPOSITORY
from infra.local.processes import LocalStackError

EVENTS = REPOSITORY / "events"


def answer(stack: Stack, function: str, sample: str) -> Any:
    return json.loads(invoke(stack, function, EVENTS / sample))


@pytest.mark.parametrize(
    ("function", "sample", "status"),
    [
        ("checkout", "http/checkout.json", 201),
        ("checkout", "http/checkout-sync.json", 404),
        ("portal", "http/portal.json", 201),
        ("entitlements", "http/entitlements.json", 200),
        ("entitlements", "http/entitlements-check.json", 200),
        ("entitlements", "http/entitlements-check-batch.json", 200),
        ("entitlements", "http/entitlements-explain.json", 200),
        ("webhooks", "http/webhooks-forged.json", 400),
        ("webhooks", "stripe/product.updated.json", 200),
        ("health", "http/healthz.json", 200),
        ("health", "http/ready.json", 200),
        ("admin", "http/admin-projects.json", 200),
        ("admin", "http/admin-events.json", 200),
        ("admin", "http/metrics.json", 200),
    ],
)
def test_a_sample_gets_its_answer(stack: Stack, function: str, sample: str, status: int) -> None:
    found = answer(stack, function, sample)
    assert found["statusCode"] == status, found


@pytest.mark.parametrize("sample", ["sqs/customer.created.json", "stripe/customer.updated.json"])
def test_the_worker_settles_a_sample_event(stack: Stack, sample: str) -> None:
    assert answer(stack, "apply_events", sample) == {"batchItemFailures": []}


def test_the_outbox_takes_its_schedule(stack: Stack) -> None:
    assert answer(stack, "outbox", "eventbridge/outbox-schedule.json")["unpaid"] == 0


def test_the_reconciliation_takes_its_daily_start(stack: Stack) -> None:
    found = answer(stack, "reconciliation", "eventbridge/reconciliation-schedule.json")
    assert (found["ended"], found["run_id"]) == ("done", found["started"])


@pytest.mark.parametrize(
    ("function", "sample", "hint"),
    [
        ("", "http/checkout.json", "Choose FN from: admin, apply_events, checkout"),
        ("checkout", "http/none.json", "There is no sample"),
        ("checkout", "stripe/customer.created.json", "FN=webhooks or FN=apply_events"),
    ],
)
def test_what_cannot_be_invoked_says_how_to(stack: Stack, function: str, sample: str, hint: str) -> None:
    with pytest.raises(LocalStackError, match=hint):
        invoke(stack, function, Path("events") / sample)
