from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.windows import (
    FOREVER,
    Window,
    capped,
    from_microseconds,
    from_seconds,
    microseconds,
    parse_rfc3339,
    rfc3339,
)
from tests.unit.domain.making import DAY, START, TICK

instants = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds


def test_a_window_contains_its_start_and_not_its_end() -> None:
    window = Window(START, START + DAY)

    assert not window.contains(START - TICK)
    assert window.contains(START)
    assert window.contains(START + DAY - TICK)
    assert not window.contains(START + DAY)


def test_a_window_of_no_length_contains_nothing_and_one_of_a_microsecond_its_start() -> None:
    assert Window(START, START).empty
    assert not Window(START, START).contains(START)
    assert not Window(START, START + TICK).empty
    assert Window(START, START + TICK).contains(START)


def test_a_window_that_ends_before_it_starts_contains_nothing() -> None:
    backwards = Window(START, START - DAY)

    assert backwards.empty
    assert not any(backwards.contains(START + n * DAY / 2) for n in range(-3, 2))


@given(instants, st.timedeltas(min_value=timedelta(0)))
def test_no_addition_goes_beyond_the_end_of_time(instant: datetime, by: timedelta) -> None:
    end = capped(instant, by)

    assert end <= FOREVER
    assert end == FOREVER or end - instant == by


def test_an_addition_is_capped_exactly_at_the_end_of_time() -> None:
    assert capped(FOREVER - DAY, DAY - TICK) == FOREVER - TICK
    assert capped(FOREVER - DAY, DAY) == FOREVER
    assert capped(FOREVER - DAY, DAY + TICK) == FOREVER


@pytest.mark.parametrize(
    ("seconds", "instant"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_767_225_600, START),
        (253_402_214_399, FOREVER - timedelta(seconds=1)),
        (253_402_214_400, FOREVER),
        (253_402_214_401, FOREVER),
        (10**18, FOREVER),
    ],
)
def test_stripes_seconds_become_instants_capped_at_the_end_of_time(seconds: int, instant: datetime) -> None:
    assert from_seconds(seconds) == instant


@given(instants)
def test_microseconds_are_exact_both_ways(instant: datetime) -> None:
    assert from_microseconds(microseconds(instant)) == instant
    assert microseconds(instant + TICK) == microseconds(instant) + 1


@given(instants)
def test_what_rfc3339_wrote_is_read_back_exactly(instant: datetime) -> None:
    text = rfc3339(instant)

    assert text.endswith("Z")
    assert parse_rfc3339(text) == instant


def test_rfc3339_writes_utc_and_no_empty_fraction() -> None:
    berlin = timezone(timedelta(hours=2))

    assert rfc3339(datetime(2026, 11, 23, 17, 4, 5, tzinfo=berlin)) == "2026-11-23T15:04:05Z"
    assert rfc3339(datetime(2026, 11, 23, 15, 4, 5, 7, tzinfo=UTC)) == "2026-11-23T15:04:05.000007Z"


def test_a_time_with_an_offset_is_read_as_utc() -> None:
    read = parse_rfc3339("2026-11-23T17:04:05+02:00")

    assert read == datetime(2026, 11, 23, 15, 4, 5, tzinfo=UTC)
    assert read.utcoffset() == timedelta(0)


@pytest.mark.usefixtures("machine_in_tokyo")
def test_the_machines_own_time_zone_does_not_matter() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)

    assert noon.astimezone(None).hour == 21
    assert rfc3339(noon) == "2026-11-23T12:00:00Z"
    assert parse_rfc3339("2026-11-23T12:00:00Z").utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["2026-11-23T15:04:05", "2026-11-23"])
def test_a_time_without_a_zone_is_refused_with_the_way_to_mend_it(text: str) -> None:
    with pytest.raises(ValueError, match="names no time zone: add Z"):
        parse_rfc3339(text)


def test_a_leap_second_is_refused() -> None:
    with pytest.raises(ValueError, match="second must be in"):
        parse_rfc3339("2026-12-31T23:59:60Z")
