"""All entitlements of one user as one value: its version, its windows, and its way to the cache and back."""

from __future__ import annotations

import json
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from billing.domain.answers import check_answer, entitlements_answer
from billing.domain.holdings import Holding
from billing.domain.snapshot import Snapshot, build, from_document, segment, to_document
from billing.domain.windows import FOREVER, Window
from tests.unit.domain.making import DAY, PERIOD_END, START, TICK, a_catalog, a_denial, an_item
from tests.unit.domain.worlds import World, every_instant, worlds

counts = st.integers(0, 10**6)


def test_an_unknown_user_has_a_snapshot_of_nothing_at_the_catalogs_epoch() -> None:
    snapshot = build("u_1", 0, START, [], a_catalog(epoch=4))

    assert (snapshot.project_id, snapshot.user_id, snapshot.as_of) == ("notes", "u_1", START)
    assert (snapshot.version, snapshot.epoch) == (4, 4)
    assert set(snapshot.features) == {"export", "seats", "credits", "theme"}
    assert not any(state.sources or state.denials for state in snapshot.features.values())


@given(counts, counts, counts, counts)
def test_each_change_of_the_customer_or_of_the_catalog_makes_a_newer_version(
    version: int, more: int, epoch: int, later: int
) -> None:
    before = build("u_1", version, START, [], a_catalog(epoch=epoch))
    after = build("u_1", version + more, START, [], a_catalog(epoch=epoch + later))

    assert after.version - before.version == more + later


@given(worlds, counts)
def test_a_document_is_read_back_as_the_equal_snapshot(world: World, version: int) -> None:
    snapshot = build("u ü \u2028", version, START + TICK, world.holdings, world.catalog)

    read = from_document(to_document(snapshot))

    assert read == snapshot
    assert repr(read) == repr(snapshot)  # == alone would let true pass for 1


def test_a_document_is_compact_ascii() -> None:
    document = to_document(build("ü", 3, START, [an_item(), a_denial()], a_catalog()))

    assert document.isascii()
    assert ": " not in document
    assert ", " not in document


@given(worlds)
def test_no_answer_changes_within_a_segment(world: World) -> None:
    snapshot = build("u_1", 1, START, world.holdings, world.catalog)
    answers = {at: every_answer(snapshot, at) for at in every_instant()}

    for at, answer in answers.items():
        window = segment(snapshot, at)
        assert window.contains(at)
        assert all(other == answer for then, other in answers.items() if window.contains(then))


@given(worlds)
def test_a_segment_ends_only_where_some_window_opens_or_closes(world: World) -> None:
    snapshot = build("u_1", 1, START, world.holdings, world.catalog)
    states = snapshot.features.values()
    windows = [s.window for state in states for s in state.sources] + [
        d.window for state in states for d in state.denials
    ]
    edges = {edge for window in windows if not window.empty for edge in (window.start, window.end)} | {FOREVER}

    for at in every_instant():
        assert segment(snapshot, at) == Window(at, min(edge for edge in edges if edge > at))


def every_answer(snapshot: Snapshot, at: datetime) -> str:
    checks = [check_answer(snapshot, code, at) for code in snapshot.features]
    return json.dumps([entitlements_answer(snapshot, at), checks])


def test_a_segment_ends_at_the_earliest_edge_of_any_feature() -> None:
    held: list[Holding] = [an_item(cancel_at_period_end=True), a_denial(feature="seats", valid_from=START + DAY)]
    snapshot = build("u_1", 1, START, held, a_catalog())

    assert segment(snapshot, START) == Window(START, START + DAY)
    assert segment(snapshot, START + DAY) == Window(START + DAY, PERIOD_END)
    assert segment(snapshot, PERIOD_END) == Window(PERIOD_END, FOREVER)


def test_a_segment_of_nothing_never_ends() -> None:
    assert segment(build("u_1", 0, START, [], a_catalog()), START) == Window(START, FOREVER)
