"""Webhook deliveries: signed as Stripe signs, retried until answered 2xx, each attempt on record, faults on demand.

Deliveries run on threads of their own: no API call ever waits for a receiver. With one worker (the default) events
arrive in the order they happened unless a fault, a retry or a slow receiver says otherwise; Stripe promises no order.
"""

import hashlib
import hmac
import http.client
import random
import threading
import time
import traceback
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.events import body
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.timetable import turn

Mode = Literal["drop", "duplicate", "delay"]

_FIRST_RETRY = 0.25  # seconds; doubled each time
_LONGEST_RETRY = 60.0
_MOST_ATTEMPTS = 16
_TIMEOUT = 20.0  # seconds a receiver may take; Stripe gives about as long
_STOP_WITHIN = 2.0  # seconds for an attempt under way to end when the double stops
_IDLE_TICK = 1.0  # seconds between looks at what fell due by itself


@dataclass(frozen=True)
class Rule:
    """A delivery fault for the next `times` deliveries (None: all) of the types listed (none: any).

    drop: never sent; duplicate: sent `copies` times more; delay: sent `seconds` later.
    """

    mode: Mode
    times: int | None = None
    types: tuple[str, ...] = ()
    copies: int = 1
    seconds: float = 1.0


@dataclass(order=True)
class _Planned:
    due: float  # on the monotonic clock
    number: int
    delivery_id: str = field(compare=False)


class Deliveries:
    def __init__(self, account: Account, *, workers: int = 1) -> None:
        self._account = account
        self._plan: list[_Planned] = []
        self._number = 0
        self._busy = 0
        self._rules: list[Rule] = []
        self._holding = False
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"deliveries-{n}", daemon=True) for n in range(workers)
        ]

    def start(self) -> None:
        with self._account.lock:
            for delivery in self._account.deliveries.values():
                if delivery["state"] in {"new", "pending", "held"}:  # under way when the double was stopped
                    self._account.new_deliveries.append(delivery)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._account.lock:
            self._stopping = True
            self._account.deliveries_changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=_STOP_WITHIN)

    # ── faults and waiting; callers hold the account's lock ──────────────────────────────────────────────────────

    def add_rule(self, rule: Rule) -> None:
        self._rules.append(rule)

    def clear_rules(self) -> None:
        self._rules.clear()

    def hold(self) -> None:
        """Keep everything back until released."""
        self._holding = True

    def release(self, *, seed: int | None = None) -> int:
        """Send what was held, in order or shuffled by `seed`; how many."""
        self._holding = False
        held = [d for d in self._account.deliveries.values() if d["state"] == "held"]
        if seed is not None:
            random.Random(seed).shuffle(held)  # noqa: S311  (repeatable disorder, no secret)
        for delivery in held:
            self._schedule(delivery, 0.0)
        return len(held)

    def forget(self) -> None:
        """Drop every plan: the account was reset."""
        self._plan.clear()
        self._rules.clear()
        self._holding = False

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until nothing is left to send (held ones aside); False if there still is after `timeout` seconds."""
        with self._account.deliveries_changed:
            return self._account.deliveries_changed.wait_for(lambda: not self._pending(), timeout)

    def _pending(self) -> bool:
        return bool(self._busy or self._plan or self._account.new_deliveries)

    # ── planning ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_in(self) -> None:
        """Decide on the new deliveries by the rules in force."""
        fresh = self._account.new_deliveries
        while fresh:
            delivery = fresh.popleft()
            rule = self._take_rule(delivery["type"])
            if rule and rule.mode == "drop":
                self._mark(delivery, "dropped")
            elif self._holding:
                self._mark(delivery, "held")
            else:
                self._schedule(delivery, rule.seconds if rule and rule.mode == "delay" else 0.0)
            if rule and rule.mode == "duplicate":
                self._duplicate(delivery, rule.copies)

    def _duplicate(self, delivery: Obj, copies: int) -> None:
        for _ in range(copies):
            copy = {**delivery, "id": self._account.ids.secret("dlv_"), "attempts": []}
            self._account.keep_delivery(copy)
            if copy["state"] == "pending":
                self._schedule(copy, 0.0)

    def _take_rule(self, kind: str) -> Rule | None:
        for index, rule in enumerate(self._rules):
            if rule.types and kind not in rule.types:
                continue
            if rule.times is not None and rule.times <= 1:
                del self._rules[index]
            elif rule.times is not None:
                self._rules[index] = replace(rule, times=rule.times - 1)
            return rule
        return None

    def _mark(self, delivery: Obj, state: str) -> None:
        delivery["state"] = state
        self._account.keep_delivery(delivery)

    def _schedule(self, delivery: Obj, seconds: float) -> None:
        self._mark(delivery, "pending")
        self._number += 1
        heappush(self._plan, _Planned(time.monotonic() + seconds, self._number, delivery["id"]))
        self._account.deliveries_changed.notify_all()

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        sender = _Sender()
        while not self._stopping:
            try:
                if delivery := self._next():
                    self._deliver(sender, delivery)
            except Exception:  # noqa: BLE001  (a fault in what fell due must be seen, and must not end all deliveries)
                traceback.print_exc()
        sender.close()

    def _next(self) -> Obj | None:
        """Wait for a delivery that is due; None when stopping."""
        changed = self._account.deliveries_changed
        while True:
            with turn(self._account):
                if self._stopping:
                    return None
                self._take_in()
                wait = self._plan[0].due - time.monotonic() if self._plan else _IDLE_TICK
                if self._plan and wait <= 0:
                    self._busy += 1
                    return self._account.deliveries[heappop(self._plan).delivery_id]
                changed.notify_all()
                changed.wait(min(wait, _IDLE_TICK))

    def _deliver(self, sender: "_Sender", delivery: Obj) -> None:
        with self._account.lock:
            target = self._target(delivery)
        outcome = sender.post(*target) if target else None
        with turn(self._account):
            self._busy -= 1
            if delivery["id"] in self._account.deliveries:  # unless the account was reset meanwhile
                self._record(delivery, outcome)
            self._account.deliveries_changed.notify_all()

    def _target(self, delivery: Obj) -> tuple[str, bytes, str] | None:
        event = self._account.objects.get(delivery["event"])
        endpoint = self._account.objects.get(delivery["endpoint"])
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            return None
        return endpoint["url"], body(event), self._account.facts_of(endpoint["id"])["secret"]

    def _record(self, delivery: Obj, outcome: Obj | None) -> None:
        if outcome is None:
            self._mark(delivery, "abandoned")  # the endpoint or the event is gone
            return
        attempts = delivery["attempts"]
        attempts.append({"at": self._account.clock.now(), **outcome})
        if outcome["status"] is not None and 200 <= outcome["status"] < 300:
            self._mark(delivery, "delivered")
            event = self._account.objects.get(delivery["event"])
            if event:
                event["pending_webhooks"] = max(event["pending_webhooks"] - 1, 0)
                self._account.put(event)
        elif len(attempts) >= _MOST_ATTEMPTS:
            self._mark(delivery, "failed")
        else:
            self._schedule(delivery, min(_FIRST_RETRY * 2 ** (len(attempts) - 1), _LONGEST_RETRY))


def signature(payload: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over "<t>.<body>" with the endpoint's secret."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


class _Sender:
    """Posts, over one kept-alive connection per receiver."""

    def __init__(self) -> None:
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def post(self, url: str, payload: bytes, secret: str) -> Obj:
        """One attempt, signed with the real present (receivers judge its age): status, or error, and milliseconds."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(payload, secret, int(time.time())),
        }
        parts = urlsplit(url)
        started = time.perf_counter()
        try:
            status, error = self._send(parts, payload, headers), None
        except (OSError, http.client.HTTPException) as failure:
            self._drop(parts.netloc)
            status, error = None, f"{type(failure).__name__}: {failure}"
        return {"status": status, "error": error, "ms": round((time.perf_counter() - started) * 1000, 1)}

    def _send(self, parts: SplitResult, payload: bytes, headers: dict[str, str]) -> int:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        reused = parts.netloc in self._connections
        try:
            return self._exchange(parts, target, payload, headers)
        except (http.client.RemoteDisconnected, ConnectionError):
            if not reused:
                raise
            self._drop(parts.netloc)  # the receiver had closed the idle connection: once more on a fresh one
            return self._exchange(parts, target, payload, headers)

    def _exchange(self, parts: SplitResult, target: str, payload: bytes, headers: dict[str, str]) -> int:
        connection = self._connections.get(parts.netloc)
        if connection is None:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = self._connections[parts.netloc] = kind(parts.netloc, timeout=_TIMEOUT)
        connection.request("POST", target, payload, headers)
        response = connection.getresponse()
        response.read()
        return response.status

    def _drop(self, netloc: str) -> None:
        connection = self._connections.pop(netloc, None)
        if connection:
            connection.close()

    def close(self) -> None:
        for netloc in list(self._connections):
            self._drop(netloc)
