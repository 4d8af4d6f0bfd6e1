"""The burst's events: what each customer's subscription becomes, signed as Stripe signs, not quite in order."""

import hashlib
import hmac
import json
import random
from dataclasses import dataclass
from datetime import datetime

from billing.payments.client import API_VERSION

PERIOD_START, PERIOD_END = 1_772_323_200, 4_102_444_800  # 2100: it runs whenever this is played
_DISORDER = 30


@dataclass(frozen=True)
class Burst:
    """`bodies` are the deliveries, a tenth of them repeated; `quantities`: the last state, by customer number."""

    bodies: list[bytes]
    event_ids: frozenset[str]
    quantities: dict[int, int]


def make_burst(events: int, customers: int, seed: int = 1) -> Burst:
    """So many events, and a tenth as many duplicates. Each comes some places early or late; no two events of a
    customer share a second: those would be settled by asking Stripe, and there is none here.
    """
    rng = random.Random(seed)  # noqa: S311  no secret, and the same burst every time
    quantities: dict[int, int] = {}
    bodies, event_ids = [], set()
    for place in range(events):
        customer, quantity = place % customers + 1, rng.randrange(1, 1000)
        event_id = f"evt_burst_{place}"
        bodies.append(event_body(event_id, customer, second=PERIOD_START + place, quantity=quantity))
        event_ids.add(event_id)
        quantities[customer] = quantity
    deliveries = [*enumerate(bodies), *rng.sample(list(enumerate(bodies)), events // 10)]
    deliveries.sort(key=lambda delivery: delivery[0] + rng.uniform(0, _DISORDER))
    return Burst([body for _, body in deliveries], frozenset(event_ids), quantities)


def event_body(event_id: str, customer: int, *, second: int, quantity: int, period_end: int = PERIOD_END) -> bytes:
    """A `customer.subscription.updated` of the size Stripe sends (about 4 KB)."""
    item = {
        "id": f"si_{customer}",
        "object": "subscription_item",
        "price": {"id": "price_pro", "object": "price", "product": "prod_pro"},
        "quantity": quantity,
        "current_period_start": PERIOD_START,
        "current_period_end": period_end,
    }
    subscription = {
        "id": f"sub_{customer}",
        "object": "subscription",
        "customer": f"cus_{customer}",
        "status": "active",
        "start_date": PERIOD_START,
        "trial_end": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "ended_at": None,
        "latest_invoice": f"in_{customer}",
        "items": {"object": "list", "data": [item], "has_more": False},
        "metadata": {"padding": "x" * 3000},
    }
    envelope = {
        "id": event_id,
        "object": "event",
        "type": "customer.subscription.updated",
        "created": second,
        "livemode": False,
        "api_version": API_VERSION,
        "data": {"object": subscription},
    }
    return json.dumps(envelope).encode()


def signature(body: bytes, secret: str, at: datetime) -> str:
    """The `Stripe-Signature` header."""
    second = int(at.timestamp())
    return f"t={second},v1={hmac.new(secret.encode(), f'{second}.'.encode() + body, hashlib.sha256).hexdigest()}"
