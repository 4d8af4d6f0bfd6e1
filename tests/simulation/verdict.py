"""After the dust has settled: the store, the snapshots and the cache against the oracle, which asks Stripe itself."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.domain.answers import check_answer
from billing.store.snapshots import snapshot_of
from billing.usecases.answer_check import Answer, Question, answer
from tests.simulation import catalog, oracle
from tests.simulation.actors import Actor, Parts, Task
from tests.simulation.book import Violation
from tests.simulation.ledger import held_in_stripe, state_of
from tests.simulation.oracle import Access, Benefit, Held, Policy, Shelf
from tests.simulation.run import Simulation
from tests.simulation.world import DAY, USERS

FAR = 45 * DAY
"""How far ahead the windows are compared."""

_LAPSE = timedelta(minutes=6)


def compare(played: Simulation) -> None:
    """Raises Violation at the first difference."""
    _nothing_is_owed(played)
    _mirror_is_true(played)
    reader = played.stage.of_role("reader")[0]
    secrets = {project: secret for secret, (project, _) in sorted(played.tasks.office.keys.items())}
    for project in catalog.PROJECTS:
        shelf = _shelf(played, project)
        for user in USERS:
            held = _held(played, user)
            _announced(played, project, user)
            for feature in catalog.features_of(project):
                truth = _at_each_edge(held, shelf, project, feature, played.world.now)
                _store_agrees(played, project, user, feature, truth)
                for at, access in truth[:3]:
                    _cache_agrees(played, reader, secrets[project], user, feature, at, access)
            _lapse_costs_one_refill(played, reader, secrets[project], user)


def _nothing_is_owed(played: Simulation) -> None:
    row = played.stage.book.connection.execute("SELECT count(*) FROM outbox").fetchone()
    if row is None or row[0]:
        raise Violation(f"after a quiet sweep the outbox still owes {row}")
    bad = played.stage.book.connection.execute(
        "SELECT type, status, reason FROM inbox WHERE status = 'failed'"
    ).fetchall()
    if bad:
        raise Violation(f"good events are on record as failed: {bad[:3]}")


def _mirror_is_true(played: Simulation) -> None:
    """Every subscription's row says what Stripe says."""
    for subscription in played.world.api.all("/v1/subscriptions", status="all"):
        place = played.stage.book.place.get(subscription["id"])
        states = played.stage.book.told[subscription["id"]]
        if place is None or states[place] != state_of(subscription):
            held = "nothing" if place is None else states[place]
            raise Violation(f"the store has {held} of {subscription['id']}, Stripe has {state_of(subscription)}")


def _held(played: Simulation, user: str) -> list[Held]:
    grants = [order.given() for order in played.tasks.office.grants.values() if order.user == user]
    return [*held_in_stripe(played.world, user), *grants]


def _shelf(played: Simulation, project: str) -> Shelf:
    """The catalog as the operators wrote it, over the ids Stripe has for it."""
    document = played.tasks.office.documents[project]
    by_product, by_price, policies = {}, {}, {}
    for product in document["products"]:
        by_product[f"{project}_{product['key']}"] = [_benefit(entry) for entry in product["benefits"]]
        for price in product["prices"]:
            found = played.world.api.get("/v1/prices", **{"lookup_keys[0]": price["lookup_key"]})["data"][0]["id"]
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


def _store_agrees(
    played: Simulation, project: str, user: str, feature: str, truth: list[tuple[datetime, Access]]
) -> None:
    snapshot = snapshot_of(played.stage.book.connection, project, user)
    if snapshot is None:
        raise Violation(f"the store has lost the project {project}")
    for at, access in truth:
        given = check_answer(snapshot, feature, at)
        if not access.fits(given):
            raise Violation(f"store: {user}'s {feature} at {at}: Stripe comes to {access}, the store to {given}")


def _cache_agrees(
    played: Simulation, reader: Actor, secret: str, user: str, feature: str, at: datetime, access: Access
) -> None:
    given = json.loads(_ask(played, reader, secret, Question(user, feature), at).body)
    if not access.fits(given):
        raise Violation(f"cache: {user}'s {feature} at {at}: Stripe comes to {access}, the cache to {given}")


def _announced(played: Simulation, project: str, user: str) -> None:
    """Whoever holds anything was announced on the bus at their last version (I4)."""
    version = played.stage.book.moment.versions.get(user, 0)
    snapshot = snapshot_of(played.stage.book.connection, project, user)
    held = snapshot is not None and any(state.sources or state.denials for state in snapshot.features.values())
    if held and played.stage.book.announced.get((project, user), 0) <= version:
        raise Violation(f"the bus never heard of version {version} of {user} in {project}")


def _lapse_costs_one_refill(played: Simulation, reader: Actor, secret: str, user: str) -> None:
    """I3: past its freshness an item is refilled once, and is fresh again."""
    later = played.world.present() + FAR * timedelta(seconds=1) + _LAPSE
    roads = [_ask(played, reader, secret, Question(user), later).road for _ in range(3)]
    if roads[-1] == "refill":
        raise Violation(f"three reads of {user} in a row asked PostgreSQL: the item never becomes fresh")


def _ask(played: Simulation, reader: Actor, secret: str, question: Question, at: datetime) -> Answer:
    results: list[object] = []

    def ask(parts: Parts) -> object:
        return answer(parts.reading, secret, question, at)

    played.stage.run_alone(reader, Task(f"last read of {question.user_id}", ask, results.append))
    [result] = results
    if not isinstance(result, Answer):
        raise Violation(f"the last read of {question.user_id} failed: {result!r}")
    return result
