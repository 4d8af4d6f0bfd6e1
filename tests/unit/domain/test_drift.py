import pytest

from billing.domain.drift import Progress, default_limit, may_take, pass_after


@pytest.mark.parametrize(("holders", "limit"), [(0, 10), (1_000, 10), (1_099, 10), (1_100, 11), (100_000, 1_000)])
def test_a_run_may_take_from_one_percent_of_the_holders_and_from_ten_at_least(holders: int, limit: int) -> None:
    assert default_limit(holders) == limit


@pytest.mark.parametrize(("losers", "may"), [(0, True), (10, True), (11, False)])
def test_a_run_may_take_up_to_its_limit(losers: int, may: bool) -> None:
    assert may_take(losers, 10, None) is may


def test_what_an_operator_allowed_counts_where_it_is_more_than_the_limit() -> None:
    assert may_take(40, 10, 40)
    assert not may_take(41, 10, 40)
    assert may_take(10, 10, 3)


def test_the_passes_are_taken_in_one_order_whatever_the_order_they_were_asked_in() -> None:
    assert pass_after(None, ["cache", "events"]) == "events"
    assert pass_after("events", ["cache", "events"]) == "cache"
    assert pass_after("cache", ["cache", "events"]) is None
    assert pass_after(None, []) is None


def test_progress_survives_its_json() -> None:
    progress = Progress("listing", "again", {"after": "sub_1"}, n=7, after=3, digest="ab", stuck=2)
    assert Progress.from_json(progress.to_json()) == progress


def test_progress_that_a_later_release_wrote_is_understood() -> None:
    assert Progress.from_json({"doing": "cache", "invented": 1}) == Progress("cache")


def test_drifts_are_numbered_on_from_one_pass_to_the_next() -> None:
    progress = Progress("events", "take", {"page": 2}, n=7, after=7, digest="ab")
    assert progress.to_pass("listing") == Progress("listing", "find", n=7)
    assert progress.to_pass(None) == Progress(None, "end", n=7)
