"""How an answer is found, case by case: the table's answers are scripted, the refills are given."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from billing.cache import client as cache_client
from billing.cache.client import Item
from billing.cache.item import CLAIM, FRESH, STALE, KeyRecord, SnapshotItem, key_to_item, snapshot_to_item
from billing.domain import keys
from billing.domain.catalog import Feature
from billing.domain.entitlements import FeatureState
from billing.domain.snapshot import Snapshot
from billing.domain.sources import Source
from billing.domain.windows import Window
from billing.errors import Refused, Transient
from billing.runtime.breaker import Breaker
from billing.usecases.answer_check import CLAIM_WINDOW, Answer, Question, Reading, answer
from tests.support.scripted_http import Step, reply, scripted

T = TypeVar("T")
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ENDS = NOW + timedelta(minutes=3)
KEY = keys.mint("test", "notes", bytes(32))
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
LIST, EXPORT = Question("ann"), Question("ann", "export")

RECORD = KeyRecord(
    keys.digest(KEY), 5, 2, NOW + FRESH, "key_1", "backend", "project", "test", "notes", "notes", "active"
)
REFUSED = reply(b'{"__type":"ConditionalCheckFailedException"}', 400)
DOWN = reply(b'{"__type":"ValidationException"}', 400)


def snapshot(version: int = 7, epoch: int = 2, project_id: str = "notes") -> Snapshot:
    source = Source("grant", "grant_1", "export", True, Window(NOW - timedelta(days=1), ENDS), NOW)
    features = {"export": FeatureState(Feature("export", "boolean"), (source,))}
    return Snapshot(project_id, "ann", version, epoch, NOW, features)


def item(version: int = 7, epoch: int = 2, project_id: str = "notes", made: datetime = NOW) -> SnapshotItem:
    return SnapshotItem.of(snapshot(version, epoch, project_id), made)


def found(*items: Item) -> Step:
    return reply(json.dumps({"Responses": {"table": items}}).encode())


def cached(record: KeyRecord = RECORD, stored: SnapshotItem | None = None) -> Step:
    return found(key_to_item(record), snapshot_to_item(stored or item()))


@dataclass
class Store:
    """What PostgreSQL would say, and how often it was asked. `up=False`: it cannot be reached."""

    up: bool = True
    record: KeyRecord | None = RECORD
    item: SnapshotItem = field(default_factory=lambda: item(version=8))
    asked: list[str] = field(default_factory=list)

    def refill_key(self, digest: bytes, _now: datetime) -> KeyRecord | None:
        assert digest == RECORD.digest
        return self._answered("key", self.record)

    def refill_snapshot(self, project_id: str, user_id: str, _now: datetime) -> SnapshotItem:
        assert (project_id, user_id) == ("notes", "ann")
        return self._answered("snapshot", self.item)

    def _answered(self, what: str, value: T) -> T:
        self.asked.append(what)
        if not self.up:
            raise Transient("database_unavailable", "down")
        return value


def answered(store: Store, *steps: Step, question: Question = EXPORT, now: datetime = NOW, key: str = KEY) -> Answer:
    with scripted(*steps) as server:
        table = cache_client.connect("table", environ={**CREDENTIALS, "AWS_ENDPOINT_URL": server.url})
        reading = Reading(
            table._replace(read_timeout=5.0, breaker=Breaker()), store.refill_key, store.refill_snapshot, Breaker()
        )
        result = answer(reading, key, question, now)
        assert server.steps == [], "the script was not played to its end"
        return result


def allowed(result: Answer) -> bool:
    return bool(json.loads(result.body)["allowed"])


def test_key_and_answer_from_the_table_are_all_it_takes() -> None:
    store = Store()
    result = answered(store, cached())
    assert (result.road, result.project_id, result.key_id, result.etag) == ("hit", "notes", "key_1", None)
    assert result.body == item().checks["export"]
    assert store.asked == []


def test_the_list_comes_with_its_tag() -> None:
    result = answered(Store(), cached(), question=LIST)
    assert (result.body, result.etag) == (item().body, item().etag)


def test_a_feature_the_snapshot_lacks_does_not_exist() -> None:
    result = answered(Store(), cached(), question=Question("ann", "nonsense"))
    document = json.loads(result.body)
    assert (result.road, document["allowed"], document["reason"]) == ("hit", False, "feature_not_found")
    assert document["version"] == 7


@pytest.mark.parametrize(
    "first",
    [
        found(key_to_item(RECORD)),
        cached(stored=item(epoch=1)),
        cached(stored=item(project_id="strangers")),
        found(key_to_item(RECORD), {**snapshot_to_item(item()), "c": {"N": "2"}}),
    ],
    ids=["absent", "older catalog", "another project's", "another codec"],
)
def test_a_snapshot_that_cannot_be_used_is_refilled(first: Step) -> None:
    store = Store()
    result = answered(store, first)
    assert (result.road, result.body, store.asked) == ("refill", store.item.checks["export"], ["snapshot"])


def test_a_table_that_fails_is_passed_by() -> None:
    store = Store()
    result = answered(store, DOWN)
    assert (result.road, store.asked) == ("refill", ["key", "snapshot"])


def test_past_a_boundary_the_answer_is_evaluated_from_the_windows() -> None:
    store = Store()
    result = answered(store, cached(), found(snapshot_to_item(item())), now=ENDS)
    assert (result.road, allowed(result), store.asked) == ("document", False, [])
    listed = answered(store, cached(), found(snapshot_to_item(item())), now=ENDS, question=LIST)
    assert json.loads(listed.body)["entitlements"] == []
    assert listed.etag != item().etag


@pytest.mark.parametrize(
    "second", [found(), found(snapshot_to_item(item(epoch=1))), DOWN], ids=["gone", "older catalog", "failed"]
)
def test_a_snapshot_that_is_gone_before_it_is_read_whole_is_refilled(second: Step) -> None:
    store = Store()
    result = answered(store, cached(), second, now=ENDS)
    assert (result.road, allowed(result), store.asked) == ("refill", False, ["snapshot"])


def test_past_freshness_one_reader_claims_and_refills_key_and_snapshot() -> None:
    store = Store()
    result = answered(store, cached(), reply(b"{}"), reply(b"{}"), now=NOW + FRESH)
    assert (result.road, store.asked) == ("refill", ["key", "snapshot"])


def test_the_others_answer_from_what_they_have_meanwhile() -> None:
    store = Store()
    stored = item(made=NOW + CLAIM)
    result = answered(
        store, cached(stored=stored), REFUSED, REFUSED, found(snapshot_to_item(stored)), now=NOW + FRESH + CLAIM
    )
    assert (result.road, json.loads(result.body)["stale"], store.asked) == ("document", False, [])


def test_long_past_freshness_nobody_claims() -> None:
    store = Store()
    answered(store, cached(), now=NOW + FRESH + CLAIM_WINDOW)
    assert store.asked == ["key", "snapshot"]


@pytest.mark.parametrize("question", [EXPORT, LIST])
def test_while_the_store_is_down_an_old_answer_is_marked_stale(question: Question) -> None:
    store = Store(up=False)
    at = NOW + FRESH + STALE - timedelta(microseconds=1)
    result = answered(store, cached(), found(snapshot_to_item(item())), now=at, question=question)
    assert (result.road, json.loads(result.body)["stale"]) == ("stale", True)


def test_a_table_that_failed_is_asked_again_where_the_store_is_down() -> None:
    store = Store(up=False)
    result = answered(store, DOWN, cached())
    assert (result.road, allowed(result), store.asked) == ("hit", True, ["key"])


def test_a_store_known_to_be_down_is_not_asked_again_at_once() -> None:
    store = Store(up=False)
    answered(store, cached(), found(snapshot_to_item(item())), now=NOW + FRESH + CLAIM_WINDOW)
    assert store.asked == ["key"]


@pytest.mark.parametrize(
    ("steps", "now"),
    [
        ((cached(),), NOW + FRESH + STALE),
        ((found(),), NOW),
        ((found(key_to_item(RECORD)),), NOW),
        ((cached(stored=item(epoch=1)),), NOW),
        ((DOWN, DOWN), NOW),
        ((cached(), found()), ENDS),
    ],
    ids=["after a day", "nothing", "no snapshot", "older catalog", "table down", "gone meanwhile"],
)
def test_with_nothing_to_go_by_and_the_store_down_there_is_no_answer(steps: tuple[Step, ...], now: datetime) -> None:
    with pytest.raises(Transient, match="unavailable") as caught:
        answered(Store(up=False), *steps, now=now)
    assert caught.value.retry_after == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"revoked_at": NOW}, "invalid_api_key"),
        ({"expires_at": NOW}, "invalid_api_key"),
        ({"role": "admin", "project_id": None, "project_status": None}, "wrong_role"),
        ({"project_status": "suspended"}, "project_suspended"),
    ],
)
def test_a_key_that_opens_nothing_is_refused_before_the_snapshot_is_looked_at(
    change: dict[str, Any], code: str
) -> None:
    store = Store()
    with pytest.raises(Refused, match=code):
        answered(store, cached(RECORD._replace(**change)))
    assert store.asked == []


def test_a_key_nobody_has_is_refused_once_the_store_has_said_so() -> None:
    store = Store(record=None)
    with pytest.raises(Refused, match="invalid_api_key"):
        answered(store, found())
    assert store.asked == ["key"]


def test_a_garbled_key_is_refused_without_any_io() -> None:
    with pytest.raises(Refused, match="invalid_api_key"):
        answered(Store(), key=KEY[:-1])
