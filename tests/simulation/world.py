"""The world outside: users who buy, change their minds and dispute; cards that fail; Stripe's clock that moves on.

Each act is done at once and alone, on the Stripe double itself. What it tells by events is handed to the queue.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from infra.local.stripe_double.double import StripeDouble
from infra.local.stripe_double.errors import StripeFault
from tests.simulation.catalog import MONTHLY, ONCE, RECURRING
from tests.simulation.stripe_api import Declined, Obj, StripeApi

BEGINNING = 1_893_456_000
"""2030-01-01T00:00:00Z: the clock stands still but where the world moves it."""

DAY = 86_400
_LONGEST_LEAP = 20 * DAY
_OVER = {"canceled", "incomplete_expired"}
USERS = ("ann", "bob", "cyd")


@dataclass
class World:
    """`customers` are all Stripe customers each user has been, `living` the one that lives.

    `restless` is how much of what happens is time passing; `eager` how often anything does: workers keep up with 0.08
    and fall behind at 0.6, where they meet on one user's backlog.

    In a narrow world one user does nearly all, in seconds and around the end of a cached item's freshness: many
    changes of few rows.
    """

    double: StripeDouble
    api: StripeApi
    rng: random.Random
    restless: float
    eager: float
    narrow: bool = False
    customers: dict[str, list[str]] = field(default_factory=dict)
    living: dict[str, str] = field(default_factory=dict)
    events: list[Obj] = field(default_factory=list)
    now: int = BEGINNING
    horizon: float = math.inf
    _newest: str | None = None

    def present(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def begin(self) -> None:
        self.double.control.freeze_clock()
        self.double.control.advance_clock(to=BEGINNING)
        self.double.control.set_dunning(retry_days=[1, 2], then=self.rng.choice(["canceled", "unpaid", "past_due"]))

    def begin_subscription(self, user: str) -> None:
        self._subscribe(user)

    def link(self, user: str, stripe_id: str) -> None:
        """The product made the user's Stripe customer known."""
        self.living[user] = stripe_id
        if stripe_id not in self.customers.setdefault(user, []):
            self.customers[user].append(stripe_id)

    def take_news(self) -> list[Obj]:
        """The events since the last call, oldest first."""
        fresh = self.api.newer("/v1/events", self._newest)
        if fresh:
            self._newest = fresh[-1]["id"]
            self.events += fresh
        for event in fresh:
            if event["type"] == "customer.created":
                owner = event["data"]["object"]["metadata"].get("billing_user_id")
                if owner and event["data"]["object"]["id"] not in self.customers.setdefault(owner, []):
                    self.customers[owner].append(event["data"]["object"]["id"])
        return fresh

    def act(self) -> str:
        """Something happens; says what."""
        if self.rng.random() < self.restless:
            return self._pass_time()
        buyers = sorted(self.living)[: 1 if self.narrow else None]
        if not buyers:
            return self._pass_time()
        user = self.rng.choice(buyers)
        if self.narrow and self.rng.random() < 0.6:
            deed: Callable[[World, str], str] = World._change_seats
        else:
            deed = self.rng.choices(list(_DEEDS), weights=list(_DEEDS.values()))[0]
        try:
            return f"{user} {deed(self, user)}"
        except (StripeFault, Declined, IndexError) as refused:
            return f"{user} cannot {deed.__name__.strip('_')} ({type(refused).__name__})"

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pass_time(self) -> str:
        ahead = [edge for edge in self._edges() if edge > self.now]
        seconds = self.rng.choice([1, 1, 301, 302] if self.narrow else [1, 1, 1, 2, 60, 301, 3600, DAY, 12 * DAY])
        if ahead and self.rng.random() < 0.35:
            seconds = max(1, min(ahead) - self.now + self.rng.choice([-1, 0, 0, 1]))
        seconds = int(min(seconds, self.horizon - self.now))
        self.move_clock(seconds)
        return f"the clock moves by {seconds} s to {self.present().isoformat()}"

    def move_clock(self, seconds: int) -> None:
        """In leaps short enough for Stripe's memory of events, which is thirty days."""
        while seconds > 0:
            leap = min(seconds, _LONGEST_LEAP)
            self.now += leap
            seconds -= leap
            self.double.control.advance_clock(to=self.now)
            self.pending_news += self.take_news()

    pending_news: list[Obj] = field(default_factory=list)

    def _edges(self) -> list[int]:
        """Instants at which something of somebody's subscriptions begins or ends."""
        edges: list[int] = []
        for subscription in self.api.all("/v1/subscriptions", status="all"):
            end = min(item["current_period_end"] for item in subscription["items"]["data"])
            edges += [end, end + 72 * 3600, end + 3600]
            edges += [at for at in (subscription["cancel_at"], subscription["trial_end"]) if at]
        return edges

    # ── subscriptions ────────────────────────────────────────────────────────────────────────────────────────────

    def _subscriptions(self, user: str) -> list[Obj]:
        every = [s for c in self.customers[user] for s in self.api.all("/v1/subscriptions", customer=c, status="all")]
        return [s for s in every if s["status"] not in _OVER]

    def _price(self, lookup_key: str) -> str:
        prices = self.api.get("/v1/prices", **{"lookup_keys[0]": lookup_key})["data"]
        return str(prices[0]["id"])

    def _checkout(self, user: str, lookup_key: str, mode: str, **more: object) -> str:
        session = self.api.post(
            "/v1/checkout/sessions",
            mode=mode,
            customer=self.living[user],
            success_url="https://notes.example/done",
            **{"line_items[0][price]": self._price(lookup_key)},
            **more,
        )
        return str(session["id"])

    def _subscribe(self, user: str) -> str:
        key, quantity = self.rng.choice(RECURRING), self.rng.randint(1, 5)
        trial = self.rng.choice([0, 0, 7])
        more: Obj = {"line_items[0][quantity]": quantity}
        if trial:
            more["subscription_data[trial_period_days]"] = trial
        session = self._checkout(user, key, "subscription", **more)
        self.double.control.pay_checkout(session)
        return f"subscribes to {quantity} x {key}" + (" on trial" if trial else "")

    def _try_without_card(self, user: str) -> str:
        self.api.post(
            "/v1/subscriptions",
            customer=self.living[user],
            trial_period_days=self.rng.choice([1, 7]),
            **{
                "items[0][price]": self._price("pro_monthly"),
                "items[0][quantity]": self.rng.randint(1, 3),
                "trial_settings[end_behavior][missing_payment_method]": self.rng.choice(["pause", "cancel"]),
            },
        )
        return "starts a trial without a card"

    def _change_seats(self, user: str) -> str:
        subscription = self.rng.choice(self._subscriptions(user))
        item = self.rng.choice(subscription["items"]["data"])
        quantity = self.rng.randint(1, 99)
        changes = {"items[0][id]": item["id"], "items[0][quantity]": quantity}
        self.api.post(f"/v1/subscriptions/{subscription['id']}", **changes)
        return f"takes {quantity} seats"

    def _change_price(self, user: str) -> str:
        subscription = self.rng.choice(self._subscriptions(user))
        items = subscription["items"]["data"]
        # several items must share one interval
        item, key = items[0], self.rng.choice(RECURRING if len(items) == 1 else MONTHLY)
        changes = {"items[0][id]": item["id"], "items[0][price]": self._price(key)}
        self.api.post(f"/v1/subscriptions/{subscription['id']}", **changes)
        return f"changes to {key}"

    def _change_items(self, user: str) -> str:
        subscription = self.rng.choice([s for s in self._subscriptions(user) if _monthly(s)])
        items = subscription["items"]["data"]
        if len(items) > 1:
            changes: Obj = {"items[0][id]": items[-1]["id"], "items[0][deleted]": "true"}
        else:
            changes = {"items[0][price]": self._price("tasks_basic"), "items[0][quantity]": 1}
        self.api.post(f"/v1/subscriptions/{subscription['id']}", **changes)
        return "drops an item" if len(items) > 1 else "adds an item"

    def _cancel_later(self, user: str) -> str:
        subscription = self.rng.choice(self._subscriptions(user))
        if self.rng.random() < 0.5:
            change: Obj = {"cancel_at_period_end": "true"}
        else:
            change = {"cancel_at": self.now + self.rng.choice([5, 3600, 9 * DAY])}
        self.api.post(f"/v1/subscriptions/{subscription['id']}", **change)
        return f"cancels later: {change}"

    def _change_their_mind(self, user: str) -> str:
        subscription = self.rng.choice([s for s in self._subscriptions(user) if s["cancel_at"]])
        self.api.post(f"/v1/subscriptions/{subscription['id']}", cancel_at_period_end="false")
        return "stays after all"

    def _cancel(self, user: str) -> str:
        self.api.delete(f"/v1/subscriptions/{self.rng.choice(self._subscriptions(user))['id']}")
        return "cancels at once"

    def _resume(self, user: str) -> str:
        subscription = self.rng.choice([s for s in self._subscriptions(user) if s["status"] == "paused"])
        anchor = self.rng.choice(["now", "unchanged"])
        self.api.post(f"/v1/subscriptions/{subscription['id']}/resume", billing_cycle_anchor=anchor)
        return "resumes"

    def _pause_collection(self, user: str) -> str:
        subscription = self.rng.choice(self._subscriptions(user))
        pause: Obj = {"pause_collection[behavior]": self.rng.choice(["void", "mark_uncollectible"])}
        if subscription["pause_collection"]:
            pause = {"pause_collection": ""}
        self.api.post(f"/v1/subscriptions/{subscription['id']}", **pause)
        return "has collection paused" if "pause_collection" not in pause else "has collection go on"

    # ── money ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _buy_once(self, user: str) -> str:
        key = self.rng.choice(ONCE)
        session = self._checkout(user, key, "payment", **{"line_items[0][quantity]": 1})
        how = self.rng.choice(["pays", "pays", "pays", "pays later", "lets expire"])
        if how == "pays":
            self.double.control.pay_checkout(session)
        elif how == "pays later":
            self.double.control.pay_checkout_later(session)
        else:
            self.double.control.expire_checkout(session)
        return f"{how}: {key}"

    def _settle_payment(self, user: str) -> str:
        every = [s for c in self.customers[user] for s in self.api.all("/v1/checkout/sessions", customer=c)]
        waiting = [s for s in every if s["status"] == "complete" and s["payment_status"] == "unpaid"]
        paid = self.rng.random() < 0.7
        self.double.control.settle_checkout(self.rng.choice(waiting)["id"], paid=paid)
        return f"has a delayed payment {'arrive' if paid else 'fail'}"

    def _turn_card(self, user: str) -> str:
        behaviour = self.rng.choice(["ok", "decline"])
        self.double.control.set_card(self.living[user], "ok" if behaviour == "ok" else "decline")
        return f"has a card that is {behaviour}"

    def _charges(self, user: str) -> list[Obj]:
        every = [c for k in self.customers[user] for c in self.api.all("/v1/charges", customer=k)]
        return [charge for charge in every if charge["status"] == "succeeded"]

    def _refund(self, user: str) -> str:
        charge = self.rng.choice([c for c in self._charges(user) if c["amount_refunded"] < c["amount"]])
        left = charge["amount"] - charge["amount_refunded"]
        amount = self.rng.choice([left, max(1, left // 2)])
        self.double.control.refund(charge["id"], amount=amount)
        return f"is refunded {amount} of {charge['amount']}"

    def _fail_refund(self, user: str) -> str:
        every = [r for c in self._charges(user) for r in self.api.all("/v1/refunds", charge=c["id"])]
        refund = self.rng.choice([refund for refund in every if refund["status"] == "succeeded"])
        self.double.control.fail_refund(refund["id"])
        return "has a refund fail"

    def _dispute(self, user: str) -> str:
        charge = self.rng.choice(self._charges(user))
        inquiry, amount = self.rng.random() < 0.25, self.rng.choice([None, None, charge["amount"] // 2])
        self.double.control.open_dispute(charge["id"], amount=amount, inquiry=inquiry)
        return "inquires about a charge" if inquiry else f"disputes {amount or 'all'} of a charge"

    def _close_dispute(self, user: str) -> str:
        charges = {charge["id"] for charge in self._charges(user)}
        disputes = [d for d in self.api.all("/v1/disputes") if d["charge"] in charges]
        still_open = [d for d in disputes if d["status"] in {"needs_response", "warning_needs_response"}]
        won = self.rng.random() < 0.5
        self.double.control.close_dispute(self.rng.choice(still_open)["id"], won=won)
        return f"{'loses' if won else 'wins'} a dispute"  # what we win, the user loses

    def _delete_customer(self, user: str) -> str:
        self.api.delete(f"/v1/customers/{self.living.pop(user)}")
        return "is deleted in Stripe"

    def _touch_catalog(self, _user: str) -> str:
        price = self.rng.choice(self.api.all("/v1/prices"))
        self.api.post(f"/v1/prices/{price['id']}", nickname=f"n{self.rng.randrange(1000)}")
        self.api.post(f"/v1/products/{price['product']}", description=f"d{self.rng.randrange(1000)}")
        return "looks on as somebody edits a price"


def _monthly(subscription: Obj) -> bool:
    return all(item["price"]["recurring"]["interval"] == "month" for item in subscription["items"]["data"])


_DEEDS: dict[Callable[[World, str], str], float] = {
    World._subscribe: 5,
    World._try_without_card: 1,
    World._change_seats: 8,
    World._change_price: 3,
    World._change_items: 2,
    World._cancel_later: 3,
    World._change_their_mind: 2,
    World._cancel: 1.5,
    World._resume: 1,
    World._pause_collection: 1,
    World._buy_once: 4,
    World._settle_payment: 2,
    World._turn_card: 2,
    World._refund: 2,
    World._fail_refund: 1,
    World._dispute: 1.5,
    World._close_dispute: 2,
    World._delete_customer: 0.25,
    World._touch_catalog: 0.5,
}
