"""Users who hold something, made quickly: customers by our own use case, trials at the Stripe double."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3

from billing.usecases.ensure_customer import ensure_customer
from infra.local.seed import PROJECT_ID
from tests.load.asks import Ask, headers
from tests.load.parts import System

PRICE = "pro_monthly"
Subscription = dict[str, Any]


def subscribe(system: System, count: int) -> dict[str, Subscription]:
    """Trials of so many new users, by user. Their events are on the way, as after any sale."""
    stripe = system.stripe
    price = stripe.v1.prices.list({"lookup_keys": [PRICE]}).data[0].id
    made = {}
    for number in range(count):
        user_id = f"holder-{number}"
        customer = ensure_customer(system.store.server.url, stripe, PROJECT_ID, user_id).stripe_id
        trial = stripe.v1.subscriptions.create(
            {"customer": customer, "items": [{"price": price, "quantity": 1}], "trial_period_days": 30}
        )
        made[user_id] = trial.to_dict(for_json=True)
    return made


def warm_up(system: System, asks: Iterable[Ask], callers: int) -> None:
    """So many at once: what they ask about is cached afterwards, and as many workers run. Raises RuntimeError."""
    http = urllib3.PoolManager(maxsize=callers, timeout=urllib3.Timeout(60), retries=False)

    def send(ask: Ask) -> None:
        url = system.deployed.api_url + ask.path
        answer = http.request(ask.method, url, json=ask.body, headers=headers(ask, system.kept.project_key))
        if answer.status != ask.status:
            raise RuntimeError(f"{ask.name} was answered {answer.status} in the warm-up: {answer.data.decode()}")

    with http, ThreadPoolExecutor(callers) as pool:
        for _ in pool.map(send, asks):
            pass
