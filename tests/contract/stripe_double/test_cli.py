"""Stripe's own CLI drives the double: a client that nobody here wrote."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.receiver import Receiver

PACKAGE = "@stripe/cli@1.52.0"
CACHE = Path(__file__).parents[3] / ".local" / "stripe-cli"
TRIGGERS = [
    "billing_portal.configuration.created",
    "billing_portal.configuration.updated",
    "billing_portal.session.created",
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.failed",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "coupon.created",
    "coupon.deleted",
    "coupon.updated",
    "customer.created",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.created",
    "invoice.deleted",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.sent",
    "invoice.updated",
    "invoice.voided",
    "invoiceitem.created",
    "invoiceitem.deleted",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "payment_method.attached",
    "payment_method.detached",
    "plan.created",
    "price.created",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
]


@pytest.fixture(scope="session")
def cli() -> Path:
    """The CLI's binary, installed once into `.local`. Skips, saying why, where npm or its registry is not at hand."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the Stripe CLI cannot be fetched")
    found = sorted(CACHE.glob("node_modules/@stripe/cli-*/bin/stripe*"))
    if not found:
        print(f"installing {PACKAGE} into {CACHE}")  # noqa: T201  (progress)
        CACHE.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "HOME": str(CACHE)}
        command = ["npm", "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
        found = sorted(CACHE.glob("node_modules/@stripe/cli-*/bin/stripe*"))
        if done.returncode or not found:
            why = (done.stderr.strip().splitlines() or ["no binary in the package"])[-1]
            pytest.skip(f"npm could not install {PACKAGE} for {platform.machine()}: {why}")
    return found[0]


def trigger(cli: Path, double: StripeDouble, event: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `stripe trigger` with a home of its own and no telemetry."""
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
        "XDG_CONFIG_HOME": str(home),
    }
    command = [str(cli), "trigger", event, "--api-key", "sk_test_0123456789abcdef", "--api-base", double.url]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)


@pytest.mark.parametrize("event", TRIGGERS)
def test_the_cli_triggers_an_event(
    cli: Path, client: stripe.StripeClient, double: StripeDouble, receiver: Receiver, event: str, tmp_path: Path
) -> None:
    done = trigger(cli, double, event, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert double.control.wait_for_deliveries()
    assert event in receiver.types()


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_debit_triggered_by_the_cli_is_decided_after_three_minutes(
    cli: Path, client: stripe.StripeClient, double: StripeDouble, receiver: Receiver, outcome: str, tmp_path: Path
) -> None:
    event = f"checkout.session.async_payment_{outcome}"
    done = trigger(cli, double, event, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    double.control.advance_clock(advance_seconds=181)
    assert double.control.wait_for_deliveries()
    assert receiver.types()[-1] == event
    status = "paid" if outcome == "succeeded" else "unpaid"
    assert receiver.events[-1]["data"]["object"]["payment_status"] == status
