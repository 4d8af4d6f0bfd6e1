"""What has been promised and shown so far, and whether a read or a commit breaks it: SPEC §5, I1, I2, I6.

The book looks into PostgreSQL from outside, after each commit, so it knows every version there ever was and what it
held. Whether an answer is right is then for the oracle to say, not for the product.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billing.store.connection import Connection
from tests.simulation import oracle
from tests.simulation.catalog import PROJECTS, features_of
from tests.simulation.ledger import state_of
from tests.simulation.oracle import Shelf
from tests.simulation.stripe_api import Obj


class Violation(AssertionError):
    """The product broke a promise."""


_STORE = """
SELECT (SELECT jsonb_object_agg(user_id, jsonb_build_array(version, holdings)) FROM customers),
       (SELECT jsonb_object_agg(id, catalog_epoch) FROM projects),
       (SELECT jsonb_object_agg(s.id, jsonb_build_array(
          s.watermark, s.status, extract(epoch FROM s.cancel_at)::bigint, s.cancel_at_period_end,
          extract(epoch FROM s.ended_at)::bigint,
          (SELECT jsonb_agg(jsonb_build_array(i.id, i.price_id, i.quantity, extract(epoch FROM i.period_start)::bigint,
             extract(epoch FROM i.period_end)::bigint) ORDER BY i.id)
           FROM subscription_items AS i WHERE i.subscription_id = s.id))) FROM subscriptions AS s)
"""
_FEATURES = "SELECT code, type, merge FROM features WHERE project_id = %s"
_BENEFITS = """
SELECT product_id, price_id, feature_code, value, per_unit, priority FROM benefits WHERE project_id = %s
"""
_POLICIES = """
SELECT id, extract(epoch FROM grace_period), extract(epoch FROM renewal_leeway), access_days, on_full_refund,
       on_partial_refund FROM prices
"""
_CUSTOMERS_OF_EVENT = """
SELECT c.user_id FROM inbox AS i JOIN customers AS c ON c.id = ANY(i.customer_ids) WHERE i.event_id = %s
"""


@dataclass(frozen=True)
class Moment:
    """The store after a commit: each user's version, each project's epoch."""

    versions: Mapping[str, int]
    epochs: Mapping[str, int]


@dataclass
class Book:
    connection: Connection
    moment: Moment = field(default_factory=lambda: Moment({}, dict.fromkeys(PROJECTS, 1)))
    promised_versions: dict[str, int] = field(default_factory=dict)
    promised_epochs: dict[str, int] = field(default_factory=dict)
    revoked_keys: set[str] = field(default_factory=set)
    shown: dict[tuple[str, str], int] = field(default_factory=dict)
    holdings: dict[tuple[str, int], list[oracle.Held]] = field(default_factory=dict)
    shelves: dict[tuple[str, int], Shelf] = field(default_factory=dict)
    timeline: dict[tuple[str, str, int], tuple[int, int]] = field(default_factory=dict)
    told: dict[str, list[Any]] = field(default_factory=dict)
    place: dict[str, int] = field(default_factory=dict)
    watermarks: dict[str, int] = field(default_factory=dict)
    announced: dict[tuple[str, str], int] = field(default_factory=dict)
    reads: int = 0

    # ── what Stripe said ─────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, events: list[Obj]) -> None:
        """Each state a subscription ever had, in order: rows may only move forward along it."""
        for event in events:
            if event["type"].startswith("customer.subscription."):
                states = self.told.setdefault(event["data"]["object"]["id"], [])
                state = state_of(event["data"]["object"])
                if not states or states[-1] != state:
                    states.append(state)

    # ── commits ──────────────────────────────────────────────────────────────────────────────────────────────────

    def look(self) -> Moment:
        """After a commit: note the versions there are now. Raises Violation where a row went back in time."""
        row = self.connection.execute(_STORE).fetchone()
        customers, epochs, subscriptions = row if row is not None else (None, None, None)
        for subscription_id, (watermark, *state) in (subscriptions or {}).items():
            self._forward(subscription_id, watermark, state)
        for project, epoch in (epochs or {}).items():
            if (project, epoch) not in self.shelves:
                self.shelves[project, epoch] = self._shelf(project)
        for user, (version, holdings) in (customers or {}).items():
            if version < self.moment.versions.get(user, 0):
                raise Violation(f"the store's version of {user} went back to {version}")
            if (user, version) not in self.holdings:
                self.holdings[user, version] = oracle.held_of_json(holdings)
        self.moment = Moment({user: row[0] for user, row in (customers or {}).items()}, dict(epochs or {}))
        for project, epoch in self.moment.epochs.items():
            for user, version in self.moment.versions.items():
                self.timeline[project, user, version + epoch] = (version, epoch)
        return self.moment

    def _forward(self, subscription_id: str, watermark: int, row: list[Any]) -> None:
        status, cancel_at, at_period_end, ended_at, items = row
        state = (status, cancel_at, at_period_end, ended_at, tuple(tuple(item) for item in items or ()))
        states, before = self.told.get(subscription_id, []), self.place.get(subscription_id, 0)
        now_at = next((place for place in range(before, len(states)) if states[place] == state), None)
        if now_at is None:
            when = "an earlier state" if state in states else "no state Stripe ever told"
            raise Violation(f"{subscription_id} went to {when}: {state}")
        if watermark < self.watermarks.get(subscription_id, 0):
            raise Violation(f"the watermark of {subscription_id} went back to {watermark}")
        self.place[subscription_id], self.watermarks[subscription_id] = now_at, watermark

    def _shelf(self, project: str) -> Shelf:
        features = self.connection.execute(_FEATURES, (project,)).fetchall()
        benefits = self.connection.execute(_BENEFITS, (project,)).fetchall()
        return oracle.shelf_of_rows(features, benefits, self.connection.execute(_POLICIES).fetchall())

    # ── promises ─────────────────────────────────────────────────────────────────────────────────────────────────

    def users_of(self, event_id: str) -> list[str]:
        return [row[0] for row in self.connection.execute(_CUSTOMERS_OF_EVENT, (event_id,))]

    def promise(self, users: list[str], then: Moment) -> None:
        """A write was acknowledged: from now on nobody may be shown less than the store held at `then`."""
        for user in users:
            self.promised_versions[user] = max(self.promised_versions.get(user, 0), then.versions.get(user, 0))

    def promise_catalog(self, project: str, then: Moment) -> None:
        self.promised_epochs[project] = max(self.promised_epochs.get(project, 0), then.epochs[project])

    def floor(self, project: str, user: str) -> int:
        """The oldest version that a read starting now may answer with (I1, I6)."""
        promised = self.promised_versions.get(user, 0) + self.promised_epochs.get(project, 1)
        return max(promised, self.shown.get((project, user), 0))

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, answer: Mapping[str, Any], feature: str | None, at: float, floor: int, *, exact: bool) -> None:
        """Raises Violation. `exact`: nothing disturbed the read, so it counts for what later reads may answer."""
        self.reads += 1
        project, user, version = answer["project_id"], answer["user_id"], answer["version"]
        if version < floor:
            raise Violation(f"{user} in {project} was answered version {version}, but {floor} was promised or shown")
        if exact:
            self.shown[project, user] = max(self.shown.get((project, user), 0), version)
        held, shelf = self._then(project, user, version)
        if feature is not None:
            self._fits(answer, oracle.access(held, shelf, project, feature, at), at)
            return
        given = {entry["feature"]: entry for entry in answer["entitlements"]}
        for code in features_of(project):
            entry = {"allowed": True, **given[code]} if code in given else {"allowed": False, "feature": code}
            self._fits(entry, oracle.access(held, shelf, project, code, at), at)

    def _then(self, project: str, user: str, version: int) -> tuple[list[oracle.Held], Shelf]:
        if user not in self.moment.versions:
            return [], self.shelves[project, version]
        if (project, user, version) not in self.timeline and (project, version) in self.shelves:
            return [], self.shelves[project, version]  # from before the user was known
        if (project, user, version) not in self.timeline:
            raise Violation(f"{user} in {project} was answered version {version}, which there never was")
        own, epoch = self.timeline[project, user, version]
        return self.holdings[user, own], self.shelves[project, epoch]

    def _fits(self, answer: Mapping[str, Any], truth: oracle.Access, at: float) -> None:
        if not truth.fits(answer):
            raise Violation(f"at {at:.0f} the answer was {json.dumps(answer)}, by its own version it should be {truth}")

    # ── the bus ──────────────────────────────────────────────────────────────────────────────────────────────────

    def announce(self, request: Mapping[str, Any]) -> None:
        for entry in request["Entries"]:
            detail = json.loads(entry["Detail"])
            place = detail["project_id"], detail["user_id"]
            self.announced[place] = max(self.announced.get(place, 0), detail["version"])
