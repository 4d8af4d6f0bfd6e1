"""After a load: is all that was acknowledged there, once, and does every answer agree with what Stripe has?"""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import urllib3

from billing.payments.events import READERS
from tests.load.asks import API, Ask, headers
from tests.load.parts import System
from tests.load.settling import settle, waiting

_USERS = "SELECT k.id, c.user_id FROM stripe_customers AS k JOIN customers AS c ON c.id = k.customer_id"

Store = psycopg.Connection[Any]


def faults(system: System, sent: Iterable[str] = (), *, patience: float = 600) -> list[str]:
    """What is lost or wrong, in words; nothing if all is well. `sent`: events delivered beside the double's own.

    Waits at most `patience` seconds for queue and outbox to be worked off.
    """
    unsettled = list(_unsettled(system, patience))
    with psycopg.connect(system.store.server.url, autocommit=True) as store:
        return [*unsettled, *_inbox(system, store, frozenset(sent)), *_answers(system, store)]


def _unsettled(system: System, patience: float) -> Iterator[str]:
    if owed := settle(system, patience):
        yield f"{owed} messages and debts were unsettled after {patience:.0f} s"
    if dead := waiting(system, system.deployed.dead_letter_queue_url):
        yield f"{dead} messages are in the dead-letter queue"


def _inbox(system: System, store: Store, sent: frozenset[str]) -> Iterator[str]:
    rows = store.execute("SELECT event_id, status, reason FROM inbox").fetchall()
    known = {event_id for event_id, _, _ in rows}
    listed = system.stripe.v1.events.list({"types": sorted(READERS), "limit": 100})
    due = sent | {event.id for event in listed.auto_paging_iter()}
    if known != due:
        yield f"the inbox lacks {len(due - known)} events of {len(due)}, and has {len(known - due)} that nobody sent"
    for event_id, status, reason in rows:
        if status not in {"applied", "superseded"}:
            yield f"{event_id} is {status}: {reason}"


def _answers(system: System, store: Store) -> Iterator[str]:
    """Every subscription at Stripe is what the API says its user holds."""
    users = dict(store.execute(_USERS).fetchall())
    listed = system.stripe.v1.subscriptions.list({"status": "all", "limit": 100})
    with urllib3.PoolManager(timeout=urllib3.Timeout(60), retries=False) as http:
        for subscription in listed.auto_paging_iter():
            item = subscription.items.data[0]
            held = _held(system, http, users.get(str(subscription.customer), ""))
            if held != {"export": True, "seats": item.quantity}:
                yield f"{subscription.id} has {item.quantity} seats at Stripe, the API says {held}"


def _held(system: System, http: urllib3.PoolManager, user_id: str) -> dict[str, Any]:
    ask = Ask("", "GET", f"{API}/entitlements?user_id={user_id}")
    answer = http.request("GET", system.deployed.api_url + ask.path, headers=headers(ask, system.kept.project_key))
    if answer.status != 200:
        return {"status": answer.status}
    held = {entry["feature"]: entry["value"] for entry in answer.json()["entitlements"]}
    return {code: held.get(code) for code in ("export", "seats")}
