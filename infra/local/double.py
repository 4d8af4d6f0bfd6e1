"""The Stripe double as a process, and what the system needs set up in it."""

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import urllib3
from stripe import StripeClient

from billing.payments.client import API_VERSION
from billing.payments.events import READERS
from infra.local.kept import Kept
from infra.local.package import REPOSITORY
from infra.local.processes import Guarded, LocalStackError, free_port, guarded, wait_until

MADE_BY = {"made_by": "local stack"}


@dataclass(frozen=True)
class Double:
    port: int
    process: Guarded

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def run_double(root: Path, port: int = 0, keep_fds: Sequence[int] = (), *, workers: int = 1) -> Iterator[Double]:
    """Run the Stripe double until the block ends or this process dies; its state is kept in `root`.

    `port` 0 takes any free one; a busy port gives way to a free one. `keep_fds`: see `guarded`. `workers` deliver
    webhooks at once: with more than one, in no order.
    """
    chosen = free_port(port)
    command: list[str | Path] = [
        sys.executable, "-m", "infra.local.stripe_double", "--port", str(chosen), "--state", root / "stripe.json",
        "--workers", str(workers),
    ]  # fmt: skip
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    with guarded(
        "The Stripe double", command, log=root / "stripe.log", env=environment, cwd=REPOSITORY, keep_fds=keep_fds
    ) as process:
        double = Double(chosen, process)
        wait_until(lambda: _answers(double), process)
        yield double


def new_api_key() -> str:
    return f"sk_test_{secrets.token_urlsafe(24)}"


def ensure_webhook_endpoint(client: StripeClient, kept: Kept, url: str) -> None:
    """Have Stripe send the events this service handles to `url`; notes the endpoint and its secret in `kept`.

    An endpoint of ours whose secret we do not know (a run killed between the two, or a rotation) is replaced.
    """
    ours = [
        endpoint
        for endpoint in client.v1.webhook_endpoints.list().auto_paging_iter()
        if endpoint.metadata.to_dict() == MADE_BY or endpoint.url == url
    ]
    for endpoint in ours:
        if endpoint.id == kept.webhook_endpoint and kept.webhook_secret:
            events: Any = sorted(READERS)
            client.v1.webhook_endpoints.update(endpoint.id, {"url": url, "enabled_events": events})
            return
        client.v1.webhook_endpoints.delete(endpoint.id)
    enabled: Any = sorted(READERS)  # a list of str; the SDK's type is one of literals
    version: Any = API_VERSION
    made = client.v1.webhook_endpoints.create(
        {"url": url, "enabled_events": enabled, "api_version": version, "metadata": MADE_BY}
    )
    if not made.secret:
        raise LocalStackError("The Stripe double gave no secret for its new webhook endpoint: reset it (make clean).")
    kept.webhook_endpoint, kept.webhook_secret = made.id, made.secret


def redeliver_lost(client: StripeClient, stripe_url: str, database_url: str) -> int:
    """Have the double send again what was accepted but never recorded: the queue died with the emulator.

    Returns how many. Sending too much would be harmless: the inbox takes an event once.
    """
    with psycopg.connect(database_url) as connection:
        known = {row[0] for row in connection.execute("SELECT event_id FROM inbox").fetchall()}
    lost = [
        event.id
        for event in client.v1.events.list({"types": sorted(READERS), "limit": 100}).auto_paging_iter()
        if event.id not in known and event.pending_webhooks == 0
    ]
    for event_id in reversed(lost):
        control(stripe_url, "deliver", {"event_id": event_id})
    return len(lost)


def control(stripe_url: str, command: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One call to the double's control API. Raises LocalStackError with its answer if it refuses."""
    answer = urllib3.request("POST", f"{stripe_url}/_control/{command}", json=body or {}, timeout=10, retries=False)
    if answer.status >= 300:
        raise LocalStackError(f"The Stripe double refused /_control/{command}: {answer.data.decode(errors='replace')}")
    content: dict[str, Any] = answer.json()
    return content


def _answers(double: Double) -> bool:
    try:
        answer = urllib3.request("GET", f"{double.url}/_control/clock", timeout=2, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200
