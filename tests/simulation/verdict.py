"""After the dust has settled: the store, the snapshots and the cache against the oracle, which asks Stripe itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.domain.answers import check_answer
from billing.store.snapshots import snapshot_of
from billing.usecases.answer_check import Answer, Question, answer
from tests.simulation import catalog, oracle
from tests.simulation.actors import Parts, Task
from tests.simulation.book import Book, Violation
from tests.simulation.ledger import held_in_stripe, state_of
from tests.simulation.operators import Office
from tests.simulation.oracle import Access, Benefit, Held, Policy, Shelf
from tests.simulation.run import Simulation
from tests.simulation.world import DAY, USERS, World

FAR = 45 * DAY
"""How far ahead the windows are compared."""

_LAPSE = timedelta(minutes=6)


@dataclass(frozen=True)
class Rest:
    """All has come to rest. `ask` is a read by the product, with a project's key, at an instant."""

    world: World
    office: Office
    book: Book
    ask: Callable[[str, Question, datetime], Answer]


def at_rest(played: Simulation) -> Rest:
    reader = played.stage.of_role("reader")[0]

    def ask(secret: str, question: Question, at: datetime) -> Answer:
        results: list[object] = []

        def read(parts: Parts) -> object:
            return answer(parts.reading, secret, question, at)

        played.stage.run_alone(reader, Task(f"last read of {question.user_id}", read, results.append))
        [result] = results
        if not isinstance(result, Answer):
            raise Violation(f"the last read of {question.user_id} failed: {result!r}")
        return result

    return Rest(played.world, played.tasks.office, played.stage.book, ask)


def compare(rest: Rest) -> None:
    """Raises Violation at the first difference."""
    _nothing_is_owed(rest)
    _mirror_is_true(rest)
    secrets = {project: secret for secret, (project, _) in sorted(rest.office.keys.items())}
    for project in catalog.PROJECTS:
        shelf = _shelf(rest, project)
        for user in USERS:
            held = _held(rest, user)
            _announced(rest, project, user)
            for feature in catalog.features_of(project):
                truth = _at_each_edge(held, shelf, project, feature, rest.world.now)
                _store_agrees(rest, project, user, feature, truth)
                for at, access in truth[:3]:
                    _cache_agrees(rest, secrets[project], user, feature, at, access)
            _lapse_costs_one_refill(rest, secrets[project], user)


def _nothing_is_owed(rest: Rest) -> None:
    row = rest.book.connection.execute("SELECT count(*) FROM outbox").fetchone()
    if row is None or row[0]:
        raise Violation(f"all is at rest, and the outbox still owes {row}")
    bad = rest.book.connection.execute("SELECT type, status, reason FROM inbox WHERE status = 'failed'").fetchall()
    if bad:
        raise Violation(f"good events are on record as failed: {bad[:3]}")


def _mirror_is_true(rest: Rest) -> None:
    """Every subscription's row says what Stripe says."""
    for subscription in rest.world.api.all("/v1/subscriptions", status="all"):
        place = rest.book.place.get(subscription["id"])
        states = rest.book.told[subscription["id"]]
        if place is None or states[place] != state_of(subscription):
            held = "nothing" if place is None else states[place]
            raise Violation(f"the store has {held} of {subscription['id']}, Stripe has {state_of(subscription)}")


def _held(rest: Rest, user: str) -> list[Held]:
    grants = [order.given() for order in rest.office.grants.values() if order.user == user]
    return [*held_in_stripe(rest.world, user), *grants]


def _shelf(rest: Rest, project: str) -> Shelf:
    """The catalog as the operators wrote it, over the ids Stripe has for it."""
    document = rest.office.documents[project]
    by_product, by_price, policies = {}, {}, {}
    for product in document["products"]:
        by_product[f"{project}_{product['key']}"] = [_benefit(entry) for entry in product["benefits"]]
        for price in product["prices"]:
            found = rest.world.api.get("/v1/prices", **{"lookup_keys[0]": price["lookup_key"]})["data"][0]["id"]
            by_price[found] = [_benefit(entry) for entry in price.get("benefits", [])]
            policies[found] = Policy(
                grace=price["grace_days"] * DAY if "grace_days" in price else oracle.GRACE,
                access_days=price.get("access_days"),
                on_full_refund=price.get("on_full_refund"),
                on_partial_refund=price.get("on_partial_refund", "keep"),
            )
    features = {f["code"]: (f["type"], f.get("merge", "max")) for f in document["features"]}
    return Shelf(features, by_product, by_price, policies)


def _benefit(entry: dict[str, Any]) -> Benefit:
    return Benefit(entry["feature"], entry.get("value", True), entry.get("per_unit", False), entry.get("priority", 0))


def _at_each_edge(
    held: list[Held], shelf: Shelf, project: str, feature: str, now: int
) -> list[tuple[datetime, Access]]:
    """What is right now, and at every instant ahead where it may change, and a microsecond before."""
    ahead = [edge for edge in oracle.edges(held, shelf) if now < edge < now + FAR]
    instants = [now, *(edge + off for edge in ahead for off in (-0.000001, 0))]
    return [(_instant(at), oracle.access(held, shelf, project, feature, at)) for at in instants]


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=round(seconds * 1_000_000))


def _store_agrees(rest: Rest, project: str, user: str, feature: str, truth: list[tuple[datetime, Access]]) -> None:
    snapshot = snapshot_of(rest.book.connection, project, user)
    if snapshot is None:
        raise Violation(f"the store has lost the project {project}")
    for at, access in truth:
        given = check_answer(snapshot, feature, at)
        if not access.fits(given):
            raise Violation(f"store: {user}'s {feature} at {at}: Stripe comes to {access}, the store to {given}")


def _cache_agrees(rest: Rest, secret: str, user: str, feature: str, at: datetime, access: Access) -> None:
    given = json.loads(rest.ask(secret, Question(user, feature), at).body)
    if not access.fits(given):
        raise Violation(f"cache: {user}'s {feature} at {at}: Stripe comes to {access}, the cache to {given}")


def _announced(rest: Rest, project: str, user: str) -> None:
    """Whoever holds anything was announced on the bus at their last version (I4)."""
    version = rest.book.moment.versions.get(user, 0)
    snapshot = snapshot_of(rest.book.connection, project, user)
    held = snapshot is not None and any(state.sources or state.denials for state in snapshot.features.values())
    if held and rest.book.announced.get((project, user), 0) <= version:
        raise Violation(f"the bus never heard of version {version} of {user} in {project}")


def _lapse_costs_one_refill(rest: Rest, secret: str, user: str) -> None:
    """I3: past its freshness an item is refilled once, and is fresh again."""
    later = rest.world.present() + FAR * timedelta(seconds=1) + _LAPSE
    roads = [rest.ask(secret, Question(user), later).road for _ in range(3)]
    if roads[-1] == "refill":
        raise Violation(f"three reads of {user} in a row asked PostgreSQL: the item never becomes fresh")
