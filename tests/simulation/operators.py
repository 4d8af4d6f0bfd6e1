"""Operators at work: grants, denials, their revocation, catalog edits, key revocations. Each is retried until done."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.domain.windows import parse_rfc3339, rfc3339
from billing.store.connection import Connection
from billing.usecases import once
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import CatalogDocument
from billing.usecases.fence import Fence
from billing.usecases.give_grants import Order as Wanted
from billing.usecases.give_grants import give
from billing.usecases.manage_grants import Change, Held, change_grants
from billing.usecases.manage_projects import revoke_key
from billing.usecases.operator import Operator
from billing.usecases.revoke_grants import Target, take_back
from tests.simulation import catalog
from tests.simulation.actors import Parts
from tests.simulation.oracle import Given
from tests.simulation.world import DAY, USERS

FOREVER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class GrantOrder:
    id: str
    user: str
    project: str
    feature: str
    value: Any
    denial: bool
    priority: int
    valid_from: datetime
    valid_to: datetime
    created_at: datetime
    revoked_at: datetime | None = None
    known_as: str | None = None  # the product's id of it

    def given(self) -> Given:
        times = (self.valid_from, self.valid_to, self.revoked_at, self.created_at)
        start, end, revoked, created = (None if at is None else at.timestamp() for at in times)
        return Given(
            self.project, self.feature, self.value, self.denial, self.priority, start or 0, end or 0, revoked,
            created or 0,
        )  # fmt: skip


OPERATOR = Operator("operator")


def put_grant(parts: Parts, order: GrantOrder) -> GrantOrder:
    """Under an Idempotency-Key of its own. Returns the order as it was carried out."""
    wanted = Wanted(
        "", order.project, order.user, order.feature, "simulated", order.value, order.denial, order.priority,
        order.valid_from, order.valid_to,
    )  # fmt: skip

    def change(connection: Connection, now: datetime, fence: Fence) -> list[Held]:
        return give(connection, [wanted], OPERATOR, now, fence)

    return _carried_out(parts, f"give {order.id}", change, order)


def revoke_grant(parts: Parts, order: GrantOrder) -> GrantOrder:
    target = Target("", "simulated", order.known_as)

    def change(connection: Connection, now: datetime, fence: Fence) -> list[Held]:
        return take_back(connection, [target], OPERATOR, now, fence)

    return _carried_out(parts, f"revoke {order.id}", change, order)


def _carried_out(parts: Parts, key: str, change: Change, order: GrantOrder) -> GrantOrder:
    request = once.Request("*", "grants", key, key.encode())
    outcome = change_grants(parts.publisher, request, change, _show, status=200, now=parts.worker.now)
    (made,) = json.loads(outcome.body)["grants"]
    revoked_at = None if made["revoked_at"] is None else parse_rfc3339(made["revoked_at"])
    return replace(order, known_as=made["id"], created_at=parse_rfc3339(made["created_at"]), revoked_at=revoked_at)


def _show(held: Held, _now: datetime) -> dict[str, Any]:
    revoked_at = None if held.grant.revoked_at is None else rfc3339(held.grant.revoked_at)
    return {"id": held.grant.id, "created_at": rfc3339(held.grant.created_at), "revoked_at": revoked_at}


@dataclass
class Order:
    """What an operator wants done. `user` or `project`: whom it concerns."""

    label: str
    run: Callable[[Parts], object]
    user: str | None = None
    project: str | None = None
    key: str | None = None
    taken: bool = False


@dataclass
class Office:
    """What operators want, one thing after the other, and what holds once all of it is done."""

    rng: random.Random
    keys: dict[str, tuple[str, str]]
    documents: dict[str, catalog.Document] = field(default_factory=lambda: dict(catalog.START))
    grants: dict[str, GrantOrder] = field(default_factory=dict)
    open: list[Order] = field(default_factory=list)

    def next_order(self, now: datetime) -> Order:
        """An order not finished yet, else a new one. Two of one project's catalog never overlap, as on any team."""
        for order in self.open:
            if not order.taken:
                return order
        order = self.rng.choices([self._grant, self._revoke, self._edit, self._revoke_key], weights=[5, 4, 2, 1])[0](
            now
        )
        self.open.append(order)
        return order

    def _grant(self, now: datetime) -> Order:
        project = self.rng.choice(catalog.PROJECTS)
        feature = self.rng.choice(catalog.START[project]["features"])
        denial = self.rng.random() < 0.35
        begins = now + timedelta(seconds=self.rng.choice([0, 0, 0, -5, 30, DAY]))
        order = GrantOrder(
            id=f"grant_{len(self.grants)}",
            user=self.rng.choice(USERS),
            project=project,
            feature=feature["code"],
            value=None if denial else self._value(feature["type"]),
            denial=denial,
            priority=self.rng.randrange(3),
            valid_from=begins,
            valid_to=self.rng.choice([FOREVER, begins + timedelta(seconds=60), begins + timedelta(days=2)]),
            created_at=now,
        )
        self.grants[order.id] = order
        return self._about(order, f"{'deny' if denial else 'grant'} {order.id}", put_grant)

    def _about(self, order: GrantOrder, label: str, run: Callable[[Parts, GrantOrder], GrantOrder]) -> Order:
        """What comes of it is known once it is acknowledged."""

        def carry_out(parts: Parts) -> None:
            self.grants[order.id] = run(parts, order)

        return Order(label, carry_out, order.user)

    def _value(self, kind: str) -> Any:
        if kind == "boolean":
            return True
        return {"color": "gold"} if kind == "config" else self.rng.choice([1, 7, 500, "unlimited"])

    def _revoke(self, now: datetime) -> Order:
        done = [g for g in self.grants.values() if g.revoked_at is None and not self._pending(g.id)]
        if not done:
            return self._grant(now)
        order = self.rng.choice(done)
        return self._about(order, f"revoke {order.id}", revoke_grant)

    def _pending(self, grant_id: str) -> bool:
        return any(order.label.endswith(f" {grant_id}") for order in self.open)

    def _edit(self, now: datetime) -> Order:
        project = self.rng.choice(catalog.PROJECTS)
        if any(order.label == f"edit {project}" for order in self.open):
            return self._grant(now)
        self.documents[project] = document = catalog.edited(self.documents[project], self.rng)

        def run(parts: Parts) -> None:
            entry = CatalogDocument.model_validate(document)
            apply_catalog(parts.publisher, parts.worker.stripe, project, entry, parts.worker.now)

        return Order(f"edit {project}", run, project=project)

    def _revoke_key(self, now: datetime) -> Order:
        spare = [secret for secret in self.keys if not any(order.key == secret for order in self.open)]
        by_project = [s for s in spare if sum(self.keys[o][0] == self.keys[s][0] for o in self.keys) > 1]
        if not by_project:
            return self._grant(now)
        secret = self.rng.choice(by_project)
        project, key_id = self.keys.pop(secret)
        return Order(
            f"revoke {key_id}",
            lambda parts: revoke_key(parts.publisher, project, key_id, parts.worker.now()),
            project=project,
            key=secret,
        )
