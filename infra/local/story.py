"""The main story, played over HTTP as a micro-app and its user would: denied, bought, allowed, cancelled, denied."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import urllib3

from infra.local.browser import open_page, press
from infra.local.console import Progress
from infra.local.double import control
from infra.local.kept import Stack
from infra.local.processes import LocalStackError
from infra.local.seed import APP_URL

FEATURE = "export"
PRICE = "pro_monthly"
PATIENCE_SECONDS = 30.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """`paid_to_allowed_ms`: from the hosted page's answer to the payment until a check over HTTP said allowed."""

    user_id: str
    paid_to_allowed_ms: float


@dataclass(frozen=True)
class App:
    """The demo's micro-app: calls the API with its project key."""

    stack: Stack
    http: urllib3.PoolManager

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Status and JSON of one request; a write carries a fresh Idempotency-Key."""
        headers = {"Authorization": f"Bearer {self.stack.project_key}"}
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        answer = self.http.request(method, self.stack.api_url + path, json=body, headers=headers)
        content: Json = answer.json()
        return answer.status, content

    def must(self, method: str, path: str, body: Json | None = None) -> Json:
        """The JSON of a request that has to succeed. Raises LocalStackError with the problem it met."""
        status, content = self.call(method, path, body)
        if status >= 300:
            raise LocalStackError(f"{method} {path} answered {status}: {content}")
        return content

    def check(self, user_id: str, feature: str = FEATURE) -> Json:
        return self.must("GET", f"/api/v1/entitlements/check?user_id={user_id}&feature={feature}")


def play(stack: Stack, progress: Progress) -> Told:
    """Play the story with a new user. Raises LocalStackError at the first step that goes otherwise."""
    app = App(stack, urllib3.PoolManager(timeout=urllib3.Timeout(20), retries=False))
    user_id = f"ada-{uuid.uuid4().hex[:8]}"
    with progress.step(f"Check: may {user_id} use {FEATURE!r}?") as tell:
        answer = app.check(user_id)
        tell(_verdict(answer))
        _expect(not answer["allowed"], "a new user is denied", answer)
    paid_to_allowed = _buy(app, user_id, progress)
    _cancel(app, user_id, progress)
    return Told(user_id, paid_to_allowed)


def _buy(app: App, user_id: str, progress: Progress) -> float:
    with progress.step("The app opens a checkout") as tell:
        order = {
            "user_id": user_id,
            "lookup_key": PRICE,
            "success_url": f"{APP_URL}/thanks?session={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{APP_URL}/pricing",
        }
        checkout = app.must("POST", "/api/v1/checkout", order)
        tell(str(checkout["session_id"]))
    with progress.step("The user pays on the hosted page") as tell:
        page = press(open_page(checkout["url"]), "Pay")
        paid_at = time.perf_counter()
        location = page.location or ""
        _expect(checkout["session_id"] in location, "paying leads back to the app", page.status)
        tell(location.split("?")[0])
    with progress.step("Webhook, queue, worker, cache: check until allowed") as tell:
        answer, checks = until(lambda: app.check(user_id), lambda found: bool(found["allowed"]))
        latency = (time.perf_counter() - paid_at) * 1000
        tell(f"{_verdict(answer)} at check {checks}, {latency:.0f} ms after the payment")
    return latency


def _cancel(app: App, user_id: str, progress: Progress) -> None:
    held = app.check(user_id)
    with progress.step("The user cancels in the portal, at the period's end") as tell:
        portal = app.must("POST", "/api/v1/portal", {"user_id": user_id, "return_url": f"{APP_URL}/account"})
        page = press(open_page(portal["url"]), "Cancel at the period's end")
        _expect(page.status < 400, "the portal takes the cancellation", page.status)
        # the leeway for a late renewal goes: this is how the app sees that the cancellation has arrived
        answer, _ = until(lambda: app.check(user_id), lambda found: str(found["valid_to"]) < str(held["valid_to"]))
        tell(f"{_verdict(answer)}, until {answer['valid_to']}")
    with progress.step("The period's end comes") as tell:
        snapshot = app.must("GET", f"/api/v1/entitlements?user_id={user_id}")
        sources = [source for entry in snapshot["entitlements"] for source in entry["sources"]]
        control(app.stack.stripe_url, f"subscriptions/{sources[0]['subscription']}/end_period")
        answer, checks = until(lambda: app.check(user_id), lambda found: not found["allowed"])
        tell(f"{_verdict(answer)} at check {checks}")


def _verdict(answer: Json) -> str:
    return f"{'allowed' if answer['allowed'] else 'denied'} ({answer['reason']})"


def _expect(held: bool, what: str, found: object) -> None:
    if not held:
        raise LocalStackError(f"The story went wrong: {what}, but the answer was {found}.")


def until(ask: Callable[[], Json], good: Callable[[Json], bool]) -> tuple[Json, int]:
    """Ask again until the answer is good; returns it and how often was asked."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    count = 1
    while not good(answer := ask()):
        if time.monotonic() > deadline:
            raise LocalStackError(f"Nothing changed within {PATIENCE_SECONDS:.0f} s; the last answer was {answer}.")
        count += 1
    return answer, count
