"""Which key signs and which are published, read off the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.domain.token_keys import (
    PUBLISHED_AHEAD,
    WITHDRAWN_AFTER,
    SigningKey,
    keys_of,
    published,
    rotated,
    signing,
    states,
    stored,
)
from billing.domain.tokens import LONGEST

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
TICK = timedelta(microseconds=1)
FIRST = SigningKey("a", "PEM a", NOW - timedelta(days=90), NOW - timedelta(days=90))

FETCHED_EVERY = timedelta(minutes=5)
"""By verifiers: `max-age` of the key set."""
READ_EVERY = timedelta(minutes=1)
"""By each copy of the function."""


def after_a_rotation() -> tuple[SigningKey, ...]:
    keys = rotated((FIRST,), "b", "PEM b", NOW, at_once=False)
    assert keys is not None
    return keys


def test_the_first_key_signs_at_once() -> None:
    keys = rotated((), "a", "PEM", NOW, at_once=False)
    assert keys == (SigningKey("a", "PEM", NOW, NOW),)
    assert signing(keys, NOW) == keys[0]


def test_without_a_key_nothing_is_signed_or_published() -> None:
    assert signing((), NOW) is None
    assert published((), NOW) == ()


def test_a_new_key_is_published_first_and_signs_later() -> None:
    keys, signs = after_a_rotation(), NOW + PUBLISHED_AHEAD
    assert states(keys, NOW) == ("current", "next")
    assert states(keys, signs - TICK) == ("current", "next")
    assert states(keys, signs) == ("previous", "current")


def test_whoever_fetched_the_keys_when_due_knows_the_new_one_before_it_signs() -> None:
    assert FETCHED_EVERY + READ_EVERY < PUBLISHED_AHEAD


def test_the_old_key_is_published_until_its_last_token_has_ended() -> None:
    keys, withdrawn = after_a_rotation(), NOW + PUBLISHED_AHEAD + WITHDRAWN_AFTER
    assert [key.kid for key in published(keys, withdrawn - TICK)] == ["a", "b"]
    assert [key.kid for key in published(keys, withdrawn)] == ["b"]
    assert LONGEST + READ_EVERY < WITHDRAWN_AFTER


def test_a_second_rotation_waits_until_the_first_key_signs() -> None:
    keys = after_a_rotation()
    assert rotated(keys, "c", "PEM c", NOW + PUBLISHED_AHEAD - TICK, at_once=False) is None
    assert rotated(keys, "c", "PEM c", NOW + PUBLISHED_AHEAD, at_once=False) is not None


def test_a_rotation_forgets_keys_that_are_withdrawn_and_no_other() -> None:
    keys = after_a_rotation()
    soon = rotated(keys, "c", "PEM c", NOW + PUBLISHED_AHEAD, at_once=False)
    later = rotated(keys, "c", "PEM c", NOW + timedelta(days=90), at_once=False)
    assert [key.kid for key in soon or ()] == ["a", "b", "c"]
    assert [key.kid for key in later or ()] == ["b", "c"]


def test_at_once_leaves_the_new_key_alone() -> None:
    keys = rotated(after_a_rotation(), "c", "PEM c", NOW, at_once=True)
    assert keys is not None
    assert [key.kid for key in published(keys, NOW)] == ["c"]
    assert signing(keys, NOW) == keys[0]


def test_what_is_stored_is_read_again() -> None:
    assert keys_of(stored(after_a_rotation())) == after_a_rotation()


def test_what_a_deployment_stores_at_first_is_no_key_and_no_fault() -> None:
    assert keys_of({"keys": [], "placeholder": "random"}) == ()


@pytest.mark.parametrize(
    "value", [{}, {"keys": {}}, {"keys": [1]}, {"keys": [{"kid": "a"}]}, {"keys": [{**stored([FIRST]), "kid": 1}]}]
)
def test_anything_else_is_told_from_no_keys(value: dict[str, object]) -> None:
    assert keys_of(value) is None


def test_a_key_in_a_traceback_shows_nothing_private() -> None:
    assert "PEM" not in repr(FIRST)
