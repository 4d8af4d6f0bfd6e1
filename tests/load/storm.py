"""A storm: what an integration sees when something at Stripe touches every subscription of an account at once."""

import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing.payments.client import API_VERSION
from infra.local.double import control
from tests.load.parts import System
from tests.load.people import Subscription

EACH = 20
"""Events a customer gets."""

SAME_SECOND = 0.05
DUPLICATES = 0.10
_DISORDER = 30


@dataclass(frozen=True)
class Storm:
    """`event_ids` were sent, each at least once; `after`: the second before which the last of them happened."""

    event_ids: frozenset[str]
    deliveries: int
    after: int


def prepare(system: System, subscriptions: Mapping[str, Subscription], path: Path, seed: int = 1) -> Storm:
    """Change each subscription at the double `EACH` times, unannounced, and write the deliveries to come to `path`.

    A twentieth of the events share the second of the one before, so that only Stripe can tell which is the later; a
    tenth are delivered twice; all come up to 30 places early or late.
    """
    rng = random.Random(seed)  # noqa: S311  no secret
    events: list[dict[str, Any]] = []
    for subscription in subscriptions.values():
        history = list(_history(subscription, rng))
        events += history
        last = history[-1]["data"]["object"]["items"]["data"][0]
        control(system.stripe_url, f"objects/{last['id']}", {"fields": {"quantity": last["quantity"]}})
    events.sort(key=lambda event: (event["created"], rng.random()))
    bodies = [json.dumps(event).encode() for event in events]
    deliveries = [*enumerate(bodies), *rng.sample(list(enumerate(bodies)), int(len(bodies) * DUPLICATES))]
    deliveries.sort(key=lambda delivery: delivery[0] + rng.uniform(0, _DISORDER))
    path.write_bytes(b"\n".join(body for _, body in deliveries) + b"\n")
    return Storm(frozenset(event["id"] for event in events), len(deliveries), events[-1]["created"] + 1)


def _history(subscription: Subscription, rng: random.Random) -> Iterator[dict[str, Any]]:
    """What happens to one subscription from the second after it was made."""
    second = int(subscription["created"]) + 1
    for place in range(EACH):
        if place and rng.random() >= SAME_SECOND:
            second += 1
        now = deepcopy(subscription)
        now["items"]["data"][0]["quantity"] = rng.randrange(1, 1000)
        yield {
            "id": f"evt_{uuid.uuid4().hex}",
            "object": "event",
            "type": "customer.subscription.updated",
            "created": second,
            "livemode": False,
            "api_version": API_VERSION,
            "pending_webhooks": 1,
            "request": None,
            "data": {"object": now},
        }


def wait_until_past(second: int) -> None:
    """Return once the storm's last event is in the past, as events are when they are delivered."""
    time.sleep(max(second - time.time(), 0))
