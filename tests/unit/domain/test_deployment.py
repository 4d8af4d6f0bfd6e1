"""What each thing found in a deployment means."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.domain.deployment import (
    judge_clock,
    judge_dead_letters,
    judge_migrations,
    judge_outbox,
    judge_queue,
    judge_reconciliation,
    judge_stripe_key,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = "x" * 24


@pytest.mark.parametrize(("level", "code"), [(11, "migrations_behind"), (12, "migrations"), (13, "migrations")])
def test_an_older_schema_is_a_fault_and_a_later_one_is_none(level: int, code: str) -> None:
    assert judge_migrations(level, 12).code == code


@pytest.mark.parametrize(
    ("key", "livemode", "code"),
    [
        (None, False, "stripe_key_unset"),
        ("", False, "stripe_key_unset"),
        ("sk_test_…", False, "stripe_key_malformed"),
        ("sk_test_short", False, "stripe_key_malformed"),
        (f"pk_test_{SECRET}", False, "stripe_key_malformed"),
        (f"whsec_{SECRET}", False, "stripe_key_malformed"),
        (f"sk_test_{SECRET}\n", False, "stripe_key_malformed"),
        (7, False, "stripe_key_unset"),
        (f"sk_live_{SECRET}", False, "stripe_key_mode"),
        (f"sk_test_{SECRET}", True, "stripe_key_mode"),
        (f"sk_test_{SECRET}", False, "stripe key"),
        (f"rk_live_{SECRET}", True, "stripe key"),
    ],
)
def test_a_stripe_key_is_of_the_stages_mode_and_is_never_told(key: object, livemode: bool, code: str) -> None:
    found = judge_stripe_key(key, livemode=livemode)
    assert found.code == code
    assert SECRET not in found.detail


@pytest.mark.parametrize(
    ("theirs", "state"), [(-9, "ok"), (-11, "ok"), (-12, "failed"), (0, "ok"), (12, "ok"), (13, "failed")]
)
def test_a_clock_is_off_by_what_neither_the_wait_nor_the_whole_second_explains(theirs: int, state: str) -> None:
    assert judge_clock(NOW, NOW + timedelta(seconds=2), int(NOW.timestamp()) + theirs).state == state


def test_a_queue_of_more_than_a_worker_takes_in_a_minute_is_behind() -> None:
    assert [judge_queue(waiting).code for waiting in (0, 1_000, 1_001)] == ["queue", "queue", "queue_behind"]


def test_one_dead_letter_waits_for_somebody() -> None:
    assert [judge_dead_letters(waiting).state for waiting in (0, 1)] == ["ok", "failed"]


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (None, "reconciliation_never"),
        (timedelta(hours=26), "reconciliation"),
        (timedelta(hours=26, seconds=1), "reconciliation_old"),
    ],
)
def test_a_whole_reconciliation_is_due_within_26_hours(age: timedelta | None, code: str) -> None:
    assert judge_reconciliation(None if age is None else NOW - age, NOW).code == code


@pytest.mark.parametrize(
    ("debts", "age", "state"), [(0, None, "ok"), (3, timedelta(minutes=5), "ok"), (3, timedelta(minutes=6), "failed")]
)
def test_a_publication_is_owed_for_five_minutes_at_most(debts: int, age: timedelta | None, state: str) -> None:
    assert judge_outbox(debts, None if age is None else NOW - age, NOW).state == state
