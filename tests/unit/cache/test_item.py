from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cache.item import (
    FRESH,
    KeyRecord,
    SnapshotItem,
    encode,
    etag,
    fresh_until,
    glimpse,
    key_from_item,
    key_to_item,
    snapshot_from_item,
    snapshot_to_item,
    stale,
)
from billing.domain.answers import check_answer, entitlements_answer
from billing.domain.catalog import Feature
from billing.domain.entitlements import FeatureState
from billing.domain.snapshot import Snapshot, from_document
from billing.domain.sources import Denial, Source
from billing.domain.windows import FOREVER, Window

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)

RECORD = KeyRecord(
    digest=bytes(range(32)),
    version=12,
    epoch=5,
    fresh_until=fresh_until(NOW),
    id="key_1",
    name="backend",
    role="project",
    mode="test",
    project_id="notes",
    namespace="notes",
    project_status="active",
    expires_at=FOREVER,
    revoked_at=NOW + TICK,
)
ADMIN = KeyRecord(bytes(32), 1, 0, fresh_until(NOW), "key_2", "ops", "admin", "live")


def source(start: datetime, end: datetime, number: int = 0) -> Source:
    return Source("grant", f"grant_{number}", "export", True, Window(start, end), start)


def snapshot_of(*states: FeatureState) -> Snapshot:
    return Snapshot("notes", "u#1", 7, 5, NOW - timedelta(days=1), {state.feature.code: state for state in states})


BOOLEAN = Feature("export", "boolean")
MONTH = snapshot_of(
    FeatureState(BOOLEAN, (source(NOW - timedelta(days=9), NOW + timedelta(days=22)),)),
    FeatureState(Feature("seats", "limit")),
)

instants = st.integers(-5, 5).map(lambda hours: NOW + timedelta(hours=hours))
windows = st.tuples(instants, instants).map(lambda pair: Window(*pair))
states = st.builds(
    lambda gained, denied: FeatureState(
        BOOLEAN,
        tuple(source(window.start, window.end, number) for number, window in enumerate(gained)),
        tuple(Denial(f"denial_{number}", "export", window) for number, window in enumerate(denied)),
    ),
    st.lists(windows, max_size=4),
    st.lists(windows, max_size=2),
)


@pytest.mark.parametrize("record", [RECORD, ADMIN])
def test_a_key_record_comes_back_equal(record: KeyRecord) -> None:
    assert key_from_item(key_to_item(record)) == record


def test_a_key_record_holds_no_key() -> None:
    assert key_to_item(RECORD)["pk"] == {"S": "K#" + bytes(range(32)).hex()}


def test_a_snapshot_comes_back_equal_whatever_characters_its_user_has() -> None:
    item = SnapshotItem.of(replace(MONTH, user_id="a#b#ü {}"), NOW)
    assert snapshot_from_item(snapshot_to_item(item)) == item
    assert from_document(item.document).user_id == "a#b#ü {}"


def test_the_ttl_is_a_day_after_freshness_ends() -> None:
    item = key_to_item(RECORD)
    assert int(item["ttl"]["N"]) == int((NOW + FRESH + timedelta(days=1)).timestamp())


@pytest.mark.parametrize("codec", [{}, {"c": {"N": "2"}}, {"c": {"N": "0"}}, {"c": {"S": "1"}}])
def test_an_item_of_another_codec_is_no_item(codec: dict[str, Any]) -> None:
    for item in (key_to_item(RECORD), snapshot_to_item(SnapshotItem.of(MONTH, NOW))):
        other = {name: value for name, value in item.items() if name != "c"} | codec
        assert key_from_item(other) is None
        assert snapshot_from_item(other) is None
        assert glimpse(other, None) is None


@pytest.mark.parametrize("name", ["v", "e", "f", "p", "a", "t0", "t1", "b", "g", "k", "d"])
def test_a_snapshot_without_one_of_its_parts_is_no_item(name: str) -> None:
    item = dict(snapshot_to_item(SnapshotItem.of(MONTH, NOW)))
    del item[name]
    assert snapshot_from_item(item) is None


@pytest.mark.parametrize("name", ["v", "e", "f", "id", "n", "r", "m"])
def test_a_key_record_without_one_of_its_parts_is_no_item(name: str) -> None:
    item = dict(key_to_item(RECORD))
    del item[name]
    assert key_from_item(item) is None


def test_a_glimpse_has_the_asked_features_answer_or_none() -> None:
    item = snapshot_to_item(SnapshotItem.of(MONTH, NOW))
    export, absent, everything = (glimpse(item, asked) for asked in ("export", "absent", None))
    assert export is not None
    assert absent is not None
    assert everything is not None
    assert export.answer == encode(check_answer(MONTH, "export", NOW))
    assert absent.answer is None
    assert (everything.answer, everything.etag) == (item["b"]["S"], item["g"]["S"])


@given(states, st.integers(-6, 6), st.sampled_from([-TICK, timedelta(0), TICK]))
def test_a_ready_made_answer_is_the_evaluated_one_at_every_instant_it_is_said_to_hold(
    state: FeatureState, hours: int, tick: timedelta
) -> None:
    snapshot = snapshot_of(state)
    item = SnapshotItem.of(snapshot, NOW)
    at = NOW + timedelta(hours=hours) + tick
    evaluated = encode(entitlements_answer(from_document(item.document), at))
    assert evaluated == encode(entitlements_answer(snapshot, at))
    if item.holds.contains(at):
        assert item.body == evaluated
        assert item.checks["export"] == encode(check_answer(snapshot, "export", at))


@given(states)
def test_a_ready_made_answer_holds_at_the_instant_it_was_made(state: FeatureState) -> None:
    assert SnapshotItem.of(snapshot_of(state), NOW).holds.contains(NOW)


def test_the_tag_changes_with_the_answer_and_only_with_it() -> None:
    ended = NOW + timedelta(days=22)
    before, later, after = (SnapshotItem.of(MONTH, at) for at in (NOW, ended - TICK, ended))
    assert before.etag == later.etag != after.etag
    assert etag(stale(before.body)) != before.etag


def test_a_stale_answer_differs_in_nothing_else() -> None:
    body = SnapshotItem.of(MONTH, NOW).body
    assert body.endswith('"stale":false}')
    assert stale(body) == body.removesuffix("false}") + "true}"


def test_an_answer_whose_last_member_is_not_stale_cannot_be_marked() -> None:
    with pytest.raises(ValueError, match="last member"):
        stale('{"stale":false,"more":1}')
