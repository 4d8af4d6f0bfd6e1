"""Locust's users: micro-apps that ask, people who buy, Stripe that delivers. Started by `crowd.py`, with a plan."""

import json
import os
import random
import time
import uuid
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.stats import StatsEntry

from infra.local.browser import open_page, press
from tests.bench.burst_events import signature
from tests.load.asks import API, FEATURE, Ask, checkout, headers, judged, read_heavy
from tests.load.line import Line, save_lines
from tests.load.plan import VARIABLE, Plan

PLAN = Plan.load(Path(os.environ[VARIABLE]))
ASKS = read_heavy(PLAN.holders, PLAN.others, seed=1)
WAITING: deque[bytes] = deque(Path(PLAN.deliveries).read_bytes().splitlines() if PLAN.deliveries else [])
"""Deliveries that no one has accepted yet."""

TOTAL = "Aggregated"
"""Locust's name for all of it."""

PATIENCE = 60.0
"""Seconds from paid to allowed after which a sale counts as lost."""

REDELIVERY = 1.0
"""Seconds until a delivery that was not accepted comes again; Stripe waits longer."""


def tell_at_the_end(environment: Environment, **_: Any) -> None:
    """What was measured, complete: Locust's CSV lacks the last seconds, which nobody flushes."""

    def tell(**_: Any) -> None:
        entries = [*environment.stats.entries.values(), environment.stats.total]
        save_lines(Path(PLAN.lines), map(line_of, sorted(entries, key=lambda entry: (entry.name == TOTAL, entry.name))))

    environment.events.quit.add_listener(tell)  # type: ignore[no-untyped-call]  # Locust's own lacks types


events.init.add_listener(tell_at_the_end)  # type: ignore[no-untyped-call]  # likewise


def line_of(entry: StatsEntry) -> Line:
    p50, p95, p99 = (float(entry.get_response_time_percentile(share)) for share in (0.5, 0.95, 0.99))
    longest = float(entry.max_response_time)
    return Line(entry.name, entry.num_requests, entry.num_failures, entry.total_rps, p50, p95, p99, longest)


class App(FastHttpUser):
    """A micro-app. `ask` sends a request and has the answer judged."""

    abstract = True
    network_timeout = 60.0

    def ask(self, ask: Ask) -> str:
        """The answer's body; empty where it was not the right one."""
        with self.client.request(
            ask.method,
            PLAN.api_url + ask.path,
            name=ask.name,
            json=ask.body,
            headers=headers(ask, PLAN.key),
            catch_response=True,
        ) as answer:
            body = answer.text or ""
            verdict = judged(ask, answer.status_code, body, store_away=PLAN.store_away)
            answer.request_meta["name"] = verdict.name
            if verdict.fault is None:
                answer.success()
                return body
            answer.failure(verdict.fault)
            return ""


class Caller(App):
    """Asks at its share of the rate, at random times: at a fixed pace callers fall into step and make their own queue.

    Closed loop: where answers are slow it falls behind.
    """

    fixed_count = PLAN.callers

    def on_start(self) -> None:
        self.due = time.perf_counter() + self._gap()

    def wait_time(self) -> float:
        """Seconds to the next request; none, and no catching up, where the last answer came too late."""
        now = time.perf_counter()
        self.due = max(self.due + self._gap(), now)
        return self.due - now

    def _gap(self) -> float:
        return random.expovariate(PLAN.rate / PLAN.callers)

    @task
    def go_on(self) -> None:
        self.ask(next(ASKS))


class Buyer(App):
    """A person at a sale: the checkout, the payment, and the app that asks until it may let them in."""

    fixed_count = PLAN.buyers

    @task
    def buy(self) -> None:
        user_id = f"buyer-{uuid.uuid4().hex}"
        opened = self.ask(checkout(user_id))
        if not opened:
            return
        began = time.perf_counter()
        page = press(open_page(json.loads(opened)["url"]), "Pay")
        paid = time.perf_counter()
        self._tell("the double takes the payment", paid - began, None if page.status < 400 else f"{page.status}")
        while not self._may(user_id):
            if time.perf_counter() - paid > PATIENCE:
                self._tell("from paid to allowed", PATIENCE, f"not allowed after {PATIENCE:.0f} s")
                return
            gevent.sleep(0.1)
        self._tell("from paid to allowed", time.perf_counter() - paid, None)

    def _may(self, user_id: str) -> bool:
        path = f"{API}/entitlements/check?user_id={user_id}&feature={FEATURE}"
        body = self.ask(Ask("check, while waiting", "GET", path))
        return bool(body) and bool(json.loads(body)["allowed"])

    def _tell(self, name: str, seconds: float, fault: str | None) -> None:
        self.environment.events.request.fire(
            request_type="sale",
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            exception=None if fault is None else RuntimeError(fault),
            context={},
        )


class Sender(App):
    """Stripe: delivers until accepted. Ends when nothing waits any more."""

    fixed_count = PLAN.senders

    @task
    def deliver(self) -> None:
        if not WAITING:
            raise StopUser
        body = WAITING.popleft()
        signed = {"Stripe-Signature": signature(body, PLAN.webhook_secret, datetime.now(UTC))}
        url = f"{PLAN.api_url}{API}/webhooks/stripe"
        with self.client.request(
            "POST", url, name="webhook", data=body.decode(), headers=signed, catch_response=True
        ) as answer:
            accepted = answer.status_code == 200
            if accepted:
                answer.success()
            else:
                answer.failure(f"answered {answer.status_code}: {(answer.text or '')[:200]}")
        if not accepted:
            WAITING.append(body)
            gevent.sleep(REDELIVERY)
