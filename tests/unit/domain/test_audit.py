"""The hash chain: any change of any entry is found, and found where it was made."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.audit import START, Break, Entry, Link, Mark, follow, hash_of, linked, settle, to_text

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
FIRST = Entry("notes", 1, NOW, "ada", "key_1", "grant.create", "grant_1", "a gift", None, '{"value":1}', "req-1")


def chain(length: int) -> list[Link]:
    links: list[Link] = []
    for seq in range(1, length + 1):
        links.append(linked(replace(FIRST, seq=seq, target=f"grant_{seq}"), links[-1].hash if links else START.hash))
    return links


def fault_of(links: Sequence[Link], head: Mark) -> Break | None:
    reached = follow(START, links)
    return reached if isinstance(reached, Break) else settle(reached, head)


def head_of(links: Sequence[Link]) -> Mark:
    return Mark(links[-1].entry.seq, links[-1].hash)


def test_an_untouched_chain_reaches_its_head() -> None:
    links = chain(5)
    assert follow(START, links) == head_of(links)
    assert fault_of(links, head_of(links)) is None


def test_an_empty_chain_stands_at_its_start() -> None:
    assert follow(START, []) == START
    assert settle(START, START) is None


def test_a_walk_may_start_at_any_mark_that_was_kept() -> None:
    links = chain(5)
    assert follow(head_of(links[:2]), links[2:]) == head_of(links)
    assert isinstance(follow(Mark(2, bytes(32)), links[2:]), Break)


CHANGES = {
    "chain": "mail",
    "at": NOW + timedelta(microseconds=1),
    "actor": "eve",
    "key_id": None,
    "action": "grant.revoke",
    "target": "grant_9",
    "reason": None,
    "before": "{}",
    "after": '{"value": 1}',
    "request_id": "",
}


@pytest.mark.parametrize("member", CHANGES)
def test_an_edited_member_is_found_at_its_entry(member: str) -> None:
    links = chain(4)
    links[1] = replace(links[1], entry=replace(links[1].entry, **{member: CHANGES[member]}))  # type: ignore[arg-type]
    fault = follow(START, links)
    assert isinstance(fault, Break)
    assert (fault.seq, fault.kind) == (2, "edited")


def test_every_member_is_in_the_test_above() -> None:
    assert set(CHANGES) | {"seq"} == set(Entry.__dataclass_fields__)


def test_an_entry_edited_with_its_hash_made_anew_is_found_at_the_next() -> None:
    links = chain(4)
    links[1] = linked(replace(links[1].entry, actor="eve"), links[0].hash)
    fault = fault_of(links, head_of(chain(4)))
    assert fault is not None
    assert (fault.seq, fault.kind) == (3, "unlinked")


def test_a_deleted_entry_is_found_where_it_was() -> None:
    links = chain(4)
    fault = follow(START, links[:1] + links[2:])
    assert isinstance(fault, Break)
    assert (fault.seq, fault.kind) == (2, "missing")


def test_entries_that_changed_places_are_found_at_the_first() -> None:
    one, two, three, four = chain(4)
    swapped = [
        one,
        replace(three, entry=replace(three.entry, seq=2)),
        replace(two, entry=replace(two.entry, seq=3)),
        four,
    ]
    fault = follow(START, swapped)
    assert isinstance(fault, Break)
    assert (fault.seq, fault.kind) == (2, "unlinked")


def test_a_tail_cut_off_is_found_by_the_head() -> None:
    links = chain(4)
    fault = fault_of(links[:2], head_of(links))
    assert fault is not None
    assert (fault.seq, fault.kind) == (3, "cut")


def test_a_tail_rewritten_as_a_whole_is_found_by_the_head() -> None:
    links = chain(3)
    forged = links[:1]
    for link in links[1:]:
        forged.append(linked(replace(link.entry, actor="eve"), forged[-1].hash))
    fault = fault_of(forged, head_of(links))
    assert fault is not None
    assert (fault.seq, fault.kind) == (3, "head_differs")


def test_the_hash_is_that_of_the_instant_whatever_its_zone() -> None:
    tokyo = replace(FIRST, at=NOW.astimezone(timezone(timedelta(hours=9))))
    assert hash_of(tokyo, START.hash) == hash_of(FIRST, START.hash)


def test_the_hash_stays_what_it_is_from_release_to_release() -> None:
    """A chain must be proven by whatever code runs years later: this digest is never to change."""
    assert hash_of(FIRST, START.hash).hex() == "1902c448de04f9542df2323a8eed8cba00fb0c264b640d49b933c598c28c1da9"


def test_a_document_has_one_text() -> None:
    later = datetime(2026, 12, 1, tzinfo=UTC)
    assert to_text({"b": later, "a": [1, "ü"]}) == '{"a":[1,"\\u00fc"],"b":"2026-12-01T00:00:00Z"}'


@pytest.mark.parametrize("value", [float("nan"), b"x", object()])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        to_text({"a": value})


texts = st.text(max_size=5)
entries = st.builds(
    Entry,
    chain=st.just("notes"),
    seq=st.just(1),
    at=st.datetimes(timezones=st.just(UTC)),
    actor=texts,
    key_id=st.none() | texts,
    action=texts,
    target=texts,
    reason=st.none() | texts,
    before=st.none() | texts,
    after=st.none() | texts,
    request_id=texts,
)


@given(entries, entries)
def test_different_entries_have_different_hashes(one: Entry, other: Entry) -> None:
    assert (hash_of(one, START.hash) == hash_of(other, START.hash)) == (one == other)


@given(st.lists(entries, min_size=1, max_size=6), st.data())
def test_any_tampering_short_of_the_head_is_found(written: list[Entry], data: st.DataObject) -> None:
    links: list[Link] = []
    for seq, entry in enumerate(written, 1):
        links.append(linked(replace(entry, seq=seq), links[-1].hash if links else START.hash))
    forged = data.draw(tampered(links))
    found = fault_of(forged, head_of(links))
    assert (found is None) == (forged == links)


@st.composite
def tampered(draw: st.DrawFn, links: list[Link]) -> list[Link]:
    """The links with some dropped, reordered, edited or put in, renumbered or not, hashed anew or not."""
    forged = draw(st.just(links) | st.permutations(links))
    forged = [link for link in forged if draw(st.integers(0, 3))]
    if draw(st.booleans()):
        forged.insert(draw(st.integers(0, len(forged))), linked(draw(entries), draw(st.sampled_from(links)).hash))
    if draw(st.booleans()) and forged:
        place = draw(st.integers(0, len(forged) - 1))
        forged[place] = replace(forged[place], entry=replace(draw(entries), seq=forged[place].entry.seq))
    if draw(st.booleans()):
        forged = [replace(link, entry=replace(link.entry, seq=seq)) for seq, link in enumerate(forged, 1)]
    if draw(st.booleans()):
        anew: list[Link] = []
        for link in forged:
            anew.append(linked(link.entry, anew[-1].hash if anew else START.hash))
        forged = anew
    return forged
