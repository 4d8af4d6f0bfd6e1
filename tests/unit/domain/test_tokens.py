"""What a token says and when it ends (SPEC §5 I2: nothing grants past a window's end)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.domain.answers import entitlements_answer
from billing.domain.entitlements import decide
from billing.domain.snapshot import build, segment
from billing.domain.tokens import LONGEST, LONGEST_STALE, claims_of
from billing.domain.windows import FOREVER, from_seconds
from tests.unit.domain.making import START
from tests.unit.domain.worlds import STEP, STEPS, World, worlds

NOW = datetime(2026, 11, 24, 10, 0, 0, 400_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def listed(*entitlements: dict[str, Any], stale: bool = False) -> dict[str, Any]:
    return {"project_id": "notes", "user_id": "ann", "version": 7, "entitlements": list(entitlements), "stale": stale}


def held(feature: str = "export", value: Any = True, valid_to: str | None = None) -> dict[str, Any]:
    return {"feature": feature, "type": "boolean", "value": value, "valid_to": valid_to, "sources": [{"id": "g"}]}


def lifetime(claims: dict[str, Any]) -> timedelta:
    return timedelta(seconds=claims["exp"] - claims["iat"])


def test_it_says_who_may_what_and_on_whose_word() -> None:
    claims = claims_of(listed(held(), held("seats", 6, "2026-12-03T10:00:00Z")), FOREVER, "billing-prod", NOW)
    assert claims == {
        "iss": "billing-prod",
        "aud": "notes",
        "sub": "ann",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "version": 7,
        "entitlements": {"export": {"value": True}, "seats": {"value": 6, "valid_to": "2026-12-03T10:00:00Z"}},
    }


def test_what_is_stale_says_so_and_ends_sooner() -> None:
    claims = claims_of(listed(held(), stale=True), FOREVER, "billing-prod", NOW)
    assert claims["stale"] is True
    assert lifetime(claims) == LONGEST_STALE < LONGEST


def test_it_ends_when_the_first_answer_changes() -> None:
    assert from_seconds(claims_of(listed(), NOW + 90 * SECOND, "i", NOW)["exp"]) == NOW.replace(microsecond=0) + (
        90 * SECOND
    )


def test_what_ends_within_the_second_is_left_out_and_the_token_still_lives_for_that_second() -> None:
    ends = NOW + timedelta(milliseconds=300)
    claims = claims_of(listed(held("a", valid_to=ends.isoformat()), held("b")), ends, "i", NOW)
    assert (lifetime(claims), list(claims["entitlements"])) == (SECOND, ["b"])


edges = st.integers(0, STEPS).map(lambda n: START + n * STEP)
shortly = st.integers(-400_000_000, 2_000_000).map(lambda n: timedelta(microseconds=n))
"""As near to an edge as a token lives."""


@given(worlds, edges, shortly)
def test_no_token_grants_past_the_end_of_any_window(world: World, edge: datetime, offset: timedelta) -> None:
    snapshot, now = build("ann", 1, START, world.holdings, world.catalog), edge + offset
    claims = claims_of(entitlements_answer(snapshot, now), segment(snapshot, now).end, "billing-prod", now)
    last = from_seconds(claims["exp"]) - timedelta(microseconds=1)
    assert SECOND <= lifetime(claims) <= LONGEST
    for code, granted in claims["entitlements"].items():
        for at in (now, (now + (last - now) / 2), last):
            decision = decide(snapshot.features[code], at)
            assert (decision.allowed, decision.value) == (True, granted["value"])


@given(worlds, edges, shortly)
def test_nothing_that_is_held_for_longer_than_a_second_is_missing(
    world: World, edge: datetime, offset: timedelta
) -> None:
    snapshot, now = build("ann", 1, START, world.holdings, world.catalog), edge + offset
    claims = claims_of(entitlements_answer(snapshot, now), segment(snapshot, now).end, "billing-prod", now)
    for code, state in snapshot.features.items():
        decision = decide(state, now)
        if decision.allowed and decision.valid_to - now >= SECOND:
            assert code in claims["entitlements"]
