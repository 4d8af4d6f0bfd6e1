import json

import pytest

from tests.load.asks import Ask, checkout, judged, stranger_check
from tests.load.asks import check as asked

ALLOWED = json.dumps({"allowed": True, "reason": "entitled", "stale": False})
STALE = json.dumps({"allowed": True, "reason": "entitled", "stale": True})
UNAVAILABLE = json.dumps({"code": "unavailable", "retryable": True})


def test_the_expected_answer_is_right() -> None:
    assert judged(asked("ada", allowed=True), 200, ALLOWED).fault is None


def test_an_answer_that_denies_a_holder_is_a_fault() -> None:
    denied = json.dumps({"allowed": False, "reason": "no_source", "stale": False})
    assert judged(asked("ada", allowed=True), 200, denied).fault == "said False, not True (no_source)"


def test_a_stale_answer_has_a_line_of_its_own() -> None:
    verdict = judged(asked("ada", allowed=True), 200, STALE)
    assert (verdict.name, verdict.fault) == ("check, marked stale", None)


@pytest.mark.parametrize("ask", [checkout("ada"), stranger_check()])
def test_while_the_store_is_away_503_is_right_for_what_needs_it(ask: Ask) -> None:
    assert judged(ask, 503, UNAVAILABLE, store_away=True).fault is None


def test_503_of_a_check_that_the_cache_can_answer_is_a_fault() -> None:
    assert judged(asked("ada", allowed=True), 503, UNAVAILABLE, store_away=True).fault is not None


def test_503_is_a_fault_while_the_store_is_there() -> None:
    assert judged(checkout("ada"), 503, UNAVAILABLE).fault is not None


def test_503_that_does_not_invite_to_try_again_is_a_fault() -> None:
    assert judged(checkout("ada"), 503, json.dumps({"retryable": False}), store_away=True).fault is not None


def test_no_answer_at_all_is_a_fault() -> None:
    assert judged(asked("ada", allowed=True), 0, "").fault is not None
