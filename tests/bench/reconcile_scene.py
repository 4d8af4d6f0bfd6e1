"""Stripe and the store with so many subscriptions to the world's one price, equal on both sides.

The Stripe double is a process of its own, and filled from within.
"""

import gc
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from stripe import StripeClient

from billing.payments.client import connect
from billing.store.connection import transaction
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.double import StripeDouble
from infra.local.stripe_double.routes import warm_up
from tests.bench.burst_scene import MAKE_CUSTOMERS
from tests.support.world import MONTH, START, make_world

API_KEY = "sk_test_bench"
_PATIENCE = 300.0

SUBSCRIBE = """
INSERT INTO subscriptions (id, stripe_customer_id, status, start_at, currency, watermark)
SELECT 'sub_' || n, 'cus_' || n, 'active', %s, 'usd', 1 FROM generate_series(1, %s) AS n
"""
ADD_ITEMS = """
INSERT INTO subscription_items (id, subscription_id, price_id, quantity, period_start, period_end)
SELECT 'si_' || n, 'sub_' || n, 'price_pro', 1, %s, %s FROM generate_series(1, %s) AS n
"""
TAMPER = "UPDATE subscriptions SET status = 'past_due' WHERE id = %s"


def fill_store(database_url: str, size: int) -> None:
    make_world(database_url)
    with transaction(database_url) as connection:
        connection.execute(MAKE_CUSTOMERS, (size,))
        connection.execute(SUBSCRIBE, (START, size))
        connection.execute(ADD_ITEMS, (START, START + MONTH, size))
        connection.execute("ANALYZE")


def tamper(database_url: str, number: int) -> None:
    """Change one subscription in the store alone."""
    with transaction(database_url) as connection:
        connection.execute(TAMPER, (f"sub_{number}",))


@contextmanager
def stripe_with(size: int) -> Iterator[str]:
    """The address of a running double whose `cus_n` has `sub_n` with the item `si_n`, for n from 1 to `size`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(size, theirs))
    process.start()
    theirs.close()
    try:
        if not ours.poll(_PATIENCE):
            raise RuntimeError(f"the double was not filled with {size} subscriptions within {_PATIENCE:.0f} s")
        yield ours.recv()
    finally:
        ours.close()
        process.join(_PATIENCE)
        process.kill()


def _serve(size: int, caller: Connection) -> None:
    """Until the caller hangs up."""
    warm_up()
    with StripeDouble(seed=1) as double:
        _sell(double._account, connect(API_KEY, double.url))
        _multiply(double._account, size)
        gc.freeze()  # else each collection goes through all that was filled in
        caller.send(double.url)
        caller.poll(None)


def _sell(account: Account, stripe: StripeClient) -> None:
    """The catalog of `make_world`, and one subscription: what the double itself makes of it is what is multiplied."""
    stripe.v1.products.create({"id": "prod_pro", "name": "Pro", "metadata": {"billing_project_id": "notes"}})
    price = stripe.v1.prices.create(
        {
            "product": "prod_pro",
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
            "lookup_key": "pro",
        }
    )
    customer = stripe.v1.customers.create({"name": "One of many"})
    stripe.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}], "trial_period_days": 30})
    stored = account.get("price", price.id)
    account.remove(stored)
    account.put({**stored, "id": "price_pro"})


def _multiply(account: Account, size: int) -> None:
    """Copies share what they nest: the double shows copies of its own and changes nothing here."""
    firsts = {kind: next(account.newest(kind)) for kind in ("customer", "subscription", "subscription_item")}
    for first in firsts.values():
        account.remove(first)
    began, ends = int(START.timestamp()), int((START + MONTH).timestamp())
    item = {**firsts["subscription_item"], "price": "price_pro", "created": began}
    item |= {"current_period_start": began, "current_period_end": ends}
    subscription = {**firsts["subscription"], "status": "active", "start_date": began, "created": began}
    subscription |= {"trial_start": None, "trial_end": None, "latest_invoice": None}
    for n in range(1, size + 1):
        metadata = {"billing_namespace": "notes", "billing_user_id": str(n)}
        account.put({**firsts["customer"], "id": f"cus_{n}", "created": began, "metadata": metadata})
        account.put({**subscription, "id": f"sub_{n}", "customer": f"cus_{n}"})
        account.put({**item, "id": f"si_{n}", "subscription": f"sub_{n}"})
        account.keep_facts(f"sub_{n}", items=[f"si_{n}"])
