"""Events: what changed, as Stripe tells it, queued for every endpoint that wants to know."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import render

API_VERSION = "2026-10-28.endive"


def emit(account: Account, kind: str, obj: Obj, previous: Obj | None = None) -> Obj:
    """Record the event `kind` with the object's state now; one delivery per enabled endpoint that listens to it."""
    data = {"object": render(account, obj)} | ({"previous_attributes": previous} if previous is not None else {})
    return publish(account, kind, data)


def publish(account: Account, kind: str, data: Obj, **fields: object) -> Obj:
    """Record an event with `data` as it stands and queue its deliveries; `fields` replace the event's own."""
    endpoints = [e for e in account.table("webhook_endpoint").values() if _listens(e, kind)]
    usual = {"api_version": API_VERSION, "request": dict(account.current_request)}
    event = account.create("event", **{**usual, **fields}, data=data, pending_webhooks=len(endpoints), type=kind)
    for endpoint in endpoints:
        queue_delivery(account, event, endpoint)
    return event


def _listens(endpoint: Obj, kind: str) -> bool:
    wanted = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in wanted or kind in wanted)


def queue_delivery(account: Account, event: Obj, endpoint: Obj) -> Obj:
    """Have the event sent to the endpoint; the delivery worker takes it from `account.deliveries`."""
    delivery = {
        "id": account.ids.secret("dlv_"),
        "event": event["id"],
        "type": event["type"],
        "endpoint": endpoint["id"],
        "state": "new",
        "attempts": [],
    }
    account.keep_delivery(delivery)
    account.new_deliveries.append(delivery)
    account.deliveries_changed.notify_all()
    return delivery


@contextmanager
def recorded(account: Account, obj: Obj, kind: str) -> Iterator[None]:
    """Store what the body changes in `obj` and, if its shown state changed, emit `kind` with the former values."""
    before = render(account, obj)
    yield
    account.put(obj)
    previous = previous_attributes(before, render(account, obj))
    if previous:
        emit(account, kind, obj, previous)


def previous_attributes(before: Obj, after: Obj) -> Obj:
    """The former values of what changed: within hashes only the changed keys, lists whole, null for new keys."""
    changed: Obj = {}
    for name in before.keys() | after.keys():
        old, now = before.get(name), after.get(name)
        if old == now:
            continue
        if isinstance(old, dict) and isinstance(now, dict) and old.get("object") != "list":
            changed[name] = previous_attributes(old, now)
        else:
            changed[name] = old
    return dict(sorted(changed.items()))


def body(event: Obj) -> bytes:
    """The bytes that are signed and sent: pretty-printed, as Stripe does."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()
