import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import stripe

from infra.local.stripe_double.double import StripeDouble
from tests.contract.stripe_double.buying import DAY, subscribe
from tests.contract.stripe_double.receiver import Receiver

REPOSITORY = Path(__file__).parents[3]


@contextmanager
def process(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The double as a process: it, and its URL."""
    command = [sys.executable, "-m", "infra.local.stripe_double", "--port", "0", "--state", str(state)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running, running.stdout.readline().split()[3]
        finally:
            running.kill()


def connect(url: str) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_restart", base_addresses={"api": url})


def control(url: str, route: str, **arguments: Any) -> Any:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    connection.request("POST", f"/_control/{route}", json.dumps(arguments))
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    assert response.status == 200, body
    return body


def test_a_killed_double_comes_back_with_all_it_had_answered(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    with process(state) as (running, url):
        client = connect(url)
        customers = [client.v1.customers.create({"name": str(n)}, {"idempotency_key": f"k{n}"}).id for n in range(5)]
        now = control(url, "clock", advance_seconds=3600)["now"]
        running.send_signal(signal.SIGKILL)
        running.wait()
    with process(state) as (_, url):
        client = connect(url)
        assert [c.id for c in client.v1.customers.list().data] == customers[::-1]
        assert client.v1.customers.create({"name": "4"}, {"idempotency_key": "k4"}).id == customers[4]
        assert control(url, "clock", advance_seconds=0)["now"] >= now


def test_the_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    with StripeDouble(state_file=state):
        assert state.stat().st_mode & 0o077 == 0


def test_a_line_cut_off_by_a_crash_is_ignored(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    with StripeDouble(state_file=state) as double:
        customer = connect(double.url).v1.customers.create({"name": "Ada"}).id
    with state.open("a") as file:
        file.write('[["objects","cus_half')
    with StripeDouble(state_file=state) as double:
        assert [c.id for c in connect(double.url).v1.customers.list().data] == [customer]


def test_subscriptions_renew_on_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    with StripeDouble(state_file=state) as double:
        client = connect(double.url)
        product = client.v1.products.create({"name": "Pro"}).id
        price = client.v1.prices.create(
            {"product": product, "currency": "usd", "unit_amount": 1200, "recurring": {"interval": "month"}}
        )
        subscription = subscribe(client, double, price.id).id
    with StripeDouble(state_file=state) as double:
        double.control.advance_clock(advance_seconds=32 * DAY)
        invoices = connect(double.url).v1.invoices.list({"subscription": subscription}).data
        assert [invoice.status for invoice in invoices] == ["paid", "paid"]


def test_what_was_not_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "stripe.json"
    receiver = Receiver()
    with StripeDouble(state_file=state) as double:
        client = connect(double.url)
        endpoint = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
        receiver.secret = str(endpoint.secret)
        receiver.answers.extend([500] * 2)
        client.v1.customers.create({"name": "Ada"})
        deadline = time.monotonic() + 5
        while not receiver.signatures and time.monotonic() < deadline:
            double.control.wait_for_deliveries(timeout=0.05)
    with StripeDouble(state_file=state) as double:
        assert double.control.wait_for_deliveries()
    receiver.stop()
    assert (receiver.types(), receiver.complaints) == (["customer.created"], [])


def test_the_same_seed_gives_the_same_ids() -> None:
    def first_id() -> str:
        with StripeDouble(seed=1) as double:
            return connect(double.url).v1.customers.create({"name": "Ada"}).id

    assert first_id() == first_id()
