"""What became of a payment, from its refunds and disputes in whatever order they are heard of (SPEC §2.6)."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.policies import (
    DISPUTE_RANK,
    NOTHING_BACK,
    REFUND_RANK,
    Dispute,
    DisputeStatus,
    MoneyBack,
    Refund,
    RefundStatus,
    money_back,
)
from tests.unit.domain.making import DAY, START

PAID = 100


def on(day: int) -> datetime:
    return START + day * DAY


def a_refund(amount: int, day: int, status: str = "succeeded") -> Refund:
    return Refund(f"re_{day}", amount, status, on(day))


def a_dispute(status: DisputeStatus, amount: int = PAID, opened: int = 0, closed: int | None = None) -> Dispute:
    return Dispute(f"dp_{opened}", amount, status, on(opened), None if closed is None else on(closed))


def after(*told: Refund | Dispute) -> MoneyBack:
    """What became of a charge of `PAID`."""
    refunds = [one for one in told if isinstance(one, Refund)]
    return money_back(PAID, refunds, [one for one in told if isinstance(one, Dispute)])


def test_a_payment_nobody_took_back_is_whole() -> None:
    assert after() == NOTHING_BACK == MoneyBack(None, None, None, None)


def test_a_full_refund_took_it_all_when_it_was_made() -> None:
    assert after(a_refund(100, day=3)) == MoneyBack(refunded_at=on(3))


def test_a_partial_refund_took_some_even_if_all_but_one_cent() -> None:
    assert after(a_refund(99, day=3)) == MoneyBack(partly_refunded_at=on(3))
    assert after(a_refund(1, day=3)) == MoneyBack(partly_refunded_at=on(3))


def test_partial_refunds_count_since_the_first_of_them() -> None:
    for told in permutations([a_refund(10, day=2), a_refund(20, day=3), a_refund(30, day=4)]):
        assert after(*told) == MoneyBack(partly_refunded_at=on(2))


def test_partial_refunds_that_come_to_all_of_it_are_full_with_the_last_that_it_took() -> None:
    for told in permutations([a_refund(30, day=2), a_refund(30, day=3), a_refund(40, day=4)]):
        assert after(*told) == MoneyBack(refunded_at=on(4))


def test_more_refunds_than_were_paid_change_nothing_about_the_day_it_was_all_back() -> None:
    for told in permutations([a_refund(60, day=2), a_refund(60, day=3), a_refund(60, day=4)]):
        assert after(*told) == MoneyBack(refunded_at=on(3))


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_came_to_nothing_undoes_what_it_did(status: str) -> None:
    assert after(a_refund(100, day=3, status=status)) == NOTHING_BACK
    assert after(a_refund(40, day=3, status=status)) == NOTHING_BACK


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_where_one_part_of_a_full_refund_came_to_nothing_it_is_a_partial_one(status: str) -> None:
    for told in permutations([a_refund(40, day=2, status=status), a_refund(60, day=3)]):
        assert after(*told) == MoneyBack(partly_refunded_at=on(3))


def test_a_refund_made_again_after_it_failed_counts_from_the_second_time() -> None:
    assert after(a_refund(100, day=2, status="failed"), a_refund(100, day=5)) == MoneyBack(refunded_at=on(5))


@pytest.mark.parametrize("status", ["pending", "requires_action", "succeeded", "a_new_word"])
def test_a_refund_on_its_way_counts_from_when_it_was_made(status: str) -> None:
    assert after(a_refund(100, day=3, status=status)) == MoneyBack(refunded_at=on(3))


def test_a_dispute_counts_from_when_it_was_opened_while_it_is_open() -> None:
    assert after(a_dispute("open", opened=4)) == MoneyBack(disputed_since=on(4))


def test_a_dispute_about_a_part_suspends_as_one_about_all() -> None:
    assert after(a_dispute("open", amount=1, opened=4)) == MoneyBack(disputed_since=on(4))


def test_of_two_open_disputes_the_first_counts() -> None:
    for told in permutations([a_dispute("open", opened=4), a_dispute("open", opened=6)]):
        assert after(*told) == MoneyBack(disputed_since=on(4))


@pytest.mark.parametrize("status", ["inquiry", "warning_closed", "won"])
def test_an_inquiry_a_closed_one_and_a_dispute_won_leave_the_payment_whole(status: DisputeStatus) -> None:
    assert after(a_dispute(status, opened=4, closed=9)) == NOTHING_BACK


def test_a_second_dispute_after_one_won_counts_from_its_own_opening() -> None:
    for told in permutations([a_dispute("won", opened=2, closed=3), a_dispute("open", opened=6)]):
        assert after(*told) == MoneyBack(disputed_since=on(6))


def test_a_dispute_lost_counts_from_its_opening_whether_or_not_its_end_was_told() -> None:
    assert after(a_dispute("lost", opened=4, closed=9)) == MoneyBack(lost_at=on(4))
    assert after(a_dispute("lost", opened=4)) == MoneyBack(lost_at=on(4))


def test_a_dispute_lost_about_a_part_does_not_take_it_all() -> None:
    assert after(a_dispute("lost", amount=99, opened=4, closed=9)) == NOTHING_BACK


def test_parts_lost_that_come_to_all_of_it_count_with_the_last_to_be_opened() -> None:
    first, second = a_dispute("lost", 50, opened=5, closed=7), a_dispute("lost", 50, opened=4, closed=9)

    for told in permutations([first, second, a_dispute("lost", 50, opened=6, closed=8)]):
        assert after(*told) == MoneyBack(lost_at=on(5))


def test_a_refund_and_a_dispute_lost_that_together_take_it_all_count_as_lost() -> None:
    told = after(a_refund(40, day=2), a_dispute("lost", 60, opened=4, closed=9))

    assert told == MoneyBack(partly_refunded_at=on(2), lost_at=on(4))
    assert after(a_refund(39, day=2), a_dispute("lost", 60, opened=4, closed=9)).lost_at is None


def test_a_dispute_won_or_open_adds_nothing_to_what_another_lost() -> None:
    for status in ("won", "open", "inquiry", "warning_closed"):
        others = a_dispute(status, 60, opened=2, closed=3)

        assert after(others, a_dispute("lost", 60, opened=4, closed=9)).lost_at is None


def test_a_refund_and_an_open_dispute_are_told_side_by_side() -> None:
    assert after(a_refund(100, day=2), a_dispute("open", opened=4)) == MoneyBack(
        refunded_at=on(2), disputed_since=on(4)
    )


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        (REFUND_RANK, ["pending", "succeeded", "failed"]),
        (REFUND_RANK, ["requires_action", "succeeded", "failed"]),
        (REFUND_RANK, ["pending", "succeeded", "canceled"]),
        (REFUND_RANK, ["requires_action", "canceled"]),
        (REFUND_RANK, ["canceled", "failed"]),
        (DISPUTE_RANK, ["inquiry", "warning_closed"]),
        (DISPUTE_RANK, ["inquiry", "open", "lost", "won"]),
        (DISPUTE_RANK, ["open", "warning_closed"]),
        (DISPUTE_RANK, ["warning_closed", "lost"]),
    ],
)
def test_in_whatever_order_its_words_are_heard_the_last_one_said_ranks_highest(
    ranks: dict[str, int], words: list[str]
) -> None:
    for heard in permutations(words):
        assert max(heard, key=ranks.__getitem__) == words[-1]
    assert len({ranks[word] for word in words}) == len(words)


def test_every_status_has_a_rank_and_an_unknown_refund_status_is_no_later_than_the_first() -> None:
    assert set(REFUND_RANK) == set(get_args(RefundStatus))
    assert set(DISPUTE_RANK) == set(get_args(DisputeStatus))
    assert min(REFUND_RANK.values()) == REFUND_RANK["pending"] == REFUND_RANK["requires_action"] == 0


# --- for all charges -------------------------------------------------------------------------------------------------

days = st.integers(0, 9)
amounts = st.integers(1, 120)
refunds = st.lists(
    st.builds(Refund, st.uuids().map(str), amounts, st.sampled_from(get_args(RefundStatus)), days.map(on)), max_size=4
)


@st.composite
def a_drawn_dispute(draw: st.DrawFn) -> Dispute:
    opened, later = draw(days), draw(days)
    status = draw(st.sampled_from(get_args(DisputeStatus)))
    closed = draw(st.sampled_from([None, on(opened + later)])) if status == "lost" else None
    return Dispute(str(draw(st.uuids())), draw(amounts), status, on(opened), closed)


disputes = st.lists(a_drawn_dispute(), max_size=3)


@given(refunds, disputes, st.randoms(use_true_random=False))
def test_the_order_they_are_heard_of_in_does_not_matter(
    back: list[Refund], disputed: list[Dispute], shuffler: Random
) -> None:
    expected = money_back(PAID, back, disputed)
    shuffler.shuffle(back)
    shuffler.shuffle(disputed)

    assert money_back(PAID, back, disputed) == expected


@given(refunds, disputes)
def test_each_date_is_the_naive_oracles(back: list[Refund], disputed: list[Dispute]) -> None:
    became = money_back(PAID, back, disputed)
    ended = [on(day) for day in range(20)]
    alive = [refund for refund in back if refund.status not in {"failed", "canceled"}]
    lost = [dispute for dispute in disputed if dispute.status == "lost"]

    def returned(at: datetime) -> int:
        return sum(refund.amount for refund in alive if refund.created <= at)

    def taken(at: datetime) -> int:
        return sum(dispute.amount for dispute in lost if dispute.opened_at <= at)

    everything = returned(ended[-1])
    fully = next((at for at in ended if returned(at) >= PAID), None)
    assert became.refunded_at == fully
    assert became.partly_refunded_at == (None if fully else next((at for at in ended if returned(at)), None))
    assert became.disputed_since == min((d.opened_at for d in disputed if d.status == "open"), default=None)
    assert became.lost_at == next((at for at in ended if taken(at) and everything + taken(at) >= PAID), None)


@given(refunds, disputes)
def test_a_refund_that_failed_is_as_one_never_made(back: list[Refund], disputed: list[Dispute]) -> None:
    dead = [Refund(f"dead {one.id}", one.amount, "failed", one.created) for one in back]

    assert money_back(PAID, back + dead, disputed) == money_back(PAID, back, disputed)


@given(refunds, disputes)
def test_a_dispute_won_is_as_one_never_opened(back: list[Refund], disputed: list[Dispute]) -> None:
    won = [Dispute(f"won {one.id}", one.amount, "won", one.opened_at, one.closed_at) for one in disputed]

    assert money_back(PAID, back, disputed + won) == money_back(PAID, back, disputed)
