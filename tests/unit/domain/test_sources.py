"""When a holding gives access, and why not afterwards: SPEC §2.4 (subscription items), §2.5 (purchases), grants."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.domain.catalog import UNLIMITED, Benefit, Feature, PricePolicy
from billing.domain.holdings import Grant
from billing.domain.sources import (
    KNOWN_STATUSES,
    Denial,
    EndReason,
    Source,
    grant_window,
    item_window,
    purchase_window,
    sources_of,
)
from billing.domain.windows import FOREVER, Window
from tests.unit.domain.making import (
    DAY,
    GRACE,
    HOUR,
    LEEWAY,
    PERIOD_END,
    START,
    TICK,
    a_catalog,
    a_denial,
    a_grant,
    a_purchase,
    an_item,
)

DEFAULTS = PricePolicy()
NOTHING = Window(START, START)


def window_of(policy: PricePolicy = DEFAULTS, **changes: Any) -> tuple[Window, EndReason]:
    return item_window(an_item(**changes), policy)


def test_the_leeway_is_72_hours_and_the_grace_seven_days() -> None:
    assert DEFAULTS.renewal_leeway == timedelta(hours=72)
    assert DEFAULTS.grace_period == timedelta(days=7)


@pytest.mark.parametrize("status", ["active", "trialing"])
def test_active_and_trialing_give_access_from_start_to_the_periods_end_plus_leeway(status: str) -> None:
    assert window_of(status=status) == (Window(START, PERIOD_END + LEEWAY), "expired")


def test_the_window_starts_with_the_subscription_not_with_its_current_period() -> None:
    window, _ = window_of(period_start=START + 31 * DAY, period_end=START + 62 * DAY)

    assert window == Window(START, START + 62 * DAY + LEEWAY)


def test_the_leeway_is_the_prices_own() -> None:
    window, _ = window_of(PricePolicy(renewal_leeway=HOUR))

    assert window.end == PERIOD_END + HOUR


def test_a_lost_renewal_event_locks_nobody_out_for_72_hours_and_then_ends() -> None:
    window, reason = window_of()

    assert window.contains(PERIOD_END)
    assert window.contains(PERIOD_END + timedelta(hours=72) - TICK)
    assert not window.contains(PERIOD_END + timedelta(hours=72))
    assert reason == "expired"


def test_past_due_gives_access_until_the_grace_that_began_with_the_first_failure_is_over() -> None:
    since = START + 2 * HOUR

    assert window_of(status="past_due", past_due_since=since) == (Window(START, since + GRACE), "past_due_grace_ended")


def test_the_grace_is_the_prices_own() -> None:
    policy = PricePolicy(grace_period=3 * DAY)

    assert window_of(policy, status="past_due", past_due_since=START)[0].end == START + 3 * DAY


def test_past_due_without_a_failure_seen_yet_counts_from_the_periods_start() -> None:
    second: dict[str, Any] = {"period_start": PERIOD_END, "period_end": PERIOD_END + 28 * DAY}

    assert window_of(status="past_due", **second) == (Window(START, PERIOD_END + GRACE), "past_due_grace_ended")


def test_a_grace_longer_than_the_period_and_its_leeway_ends_with_them() -> None:
    policy = PricePolicy(grace_period=90 * DAY)

    assert window_of(policy, status="past_due", past_due_since=START) == (Window(START, PERIOD_END + LEEWAY), "expired")


def test_a_grace_that_ends_with_the_period_and_its_leeway_is_an_expiry() -> None:
    policy = PricePolicy(grace_period=PERIOD_END + LEEWAY - START)

    assert window_of(policy, status="past_due", past_due_since=START)[1] == "expired"


def test_a_failure_from_before_the_subscription_leaves_no_window() -> None:
    window, reason = window_of(status="past_due", past_due_since=START - 30 * DAY)

    assert window.empty
    assert reason == "past_due_grace_ended"


@pytest.mark.parametrize("since", [None, START])
def test_a_failure_of_the_past_matters_to_no_active_subscription(since: datetime | None) -> None:
    assert window_of(status="active", past_due_since=since)[0].end == PERIOD_END + LEEWAY


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("incomplete", "no_source"),
        ("incomplete_expired", "no_source"),
        ("unpaid", "past_due_grace_ended"),
        ("paused", "expired"),
        ("canceled", "expired"),
    ],
)
def test_these_statuses_give_no_access_at_any_instant(status: str, reason: EndReason) -> None:
    assert window_of(status=status) == (NOTHING, reason)


@pytest.mark.parametrize("status", ["", "ACTIVE", "active ", "resting"])
def test_a_status_not_known_here_gives_no_access_and_can_be_told_apart_for_the_alarm(status: str) -> None:
    assert status not in KNOWN_STATUSES
    assert window_of(status=status) == (NOTHING, "no_source")


def test_every_status_that_stripe_documents_has_a_rule() -> None:
    documented = "active canceled incomplete incomplete_expired past_due paused trialing unpaid"

    assert set(documented.split()) == KNOWN_STATUSES


def test_a_trial_that_ends_in_paused_ends_access_at_once() -> None:
    trial: dict[str, Any] = {"period_end": START + 14 * DAY}

    assert window_of(status="trialing", **trial)[0].end == START + 14 * DAY + LEEWAY
    assert window_of(status="paused", **trial) == (NOTHING, "expired")
    assert window_of(status="paused", ended_at=START + 14 * DAY, **trial) == (NOTHING, "expired")


def test_cancel_at_ends_without_leeway() -> None:
    end = START + 10 * DAY

    assert window_of(cancel_at=end) == (Window(START, end), "expired")


def test_cancel_at_period_end_ends_with_the_period_without_leeway() -> None:
    assert window_of(cancel_at_period_end=True) == (Window(START, PERIOD_END), "expired")


def test_of_two_scheduled_ends_the_earlier_counts() -> None:
    later, earlier = PERIOD_END + DAY, PERIOD_END - DAY

    assert window_of(cancel_at=later, cancel_at_period_end=True)[0].end == PERIOD_END
    assert window_of(cancel_at=earlier, cancel_at_period_end=True)[0].end == earlier


def test_an_end_scheduled_beyond_the_leeway_gives_no_more_than_the_leeway() -> None:
    assert window_of(cancel_at=PERIOD_END + 90 * DAY)[0].end == PERIOD_END + LEEWAY


def test_taking_a_scheduled_cancellation_back_restores_the_leeway() -> None:
    scheduled = an_item(cancel_at_period_end=True)
    taken_back = an_item(cancel_at_period_end=False)

    assert item_window(scheduled, DEFAULTS)[0].end < item_window(taken_back, DEFAULTS)[0].end


def test_ended_at_ends_at_once_though_the_period_lies_ahead() -> None:
    ended = START + 5 * DAY

    assert window_of(status="canceled", ended_at=ended) == (Window(START, ended), "expired")
    assert window_of(status="active", ended_at=ended) == (Window(START, ended), "expired")


def test_a_cancellation_dated_before_the_start_leaves_no_window() -> None:
    assert window_of(cancel_at=START - DAY) == (NOTHING, "expired")


def test_a_scheduled_end_within_the_grace_is_an_expiry_not_a_grace_that_ended() -> None:
    members: dict[str, Any] = {"status": "past_due", "past_due_since": START, "cancel_at": START + 2 * DAY}

    assert window_of(**members) == (Window(START, START + 2 * DAY), "expired")


def test_a_scheduled_end_at_the_very_end_of_the_grace_leaves_that_the_reason() -> None:
    members: dict[str, Any] = {"status": "past_due", "past_due_since": START, "cancel_at": START + GRACE}

    assert window_of(**members) == (Window(START, START + GRACE), "past_due_grace_ended")


def test_a_scheduled_end_after_the_grace_does_not_lengthen_it() -> None:
    members: dict[str, Any] = {"status": "past_due", "past_due_since": START, "cancel_at_period_end": True}

    assert window_of(**members) == (Window(START, START + GRACE), "past_due_grace_ended")


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "canceled"])
def test_deleting_the_stripe_customer_ends_their_subscriptions_at_once(status: str) -> None:
    deleted = START + 3 * DAY
    window, reason = window_of(status=status, ended_at=PERIOD_END, customer_deleted_at=deleted)

    assert window == Window(START, deleted)
    assert reason == "expired"


def test_no_window_ends_beyond_the_end_of_time() -> None:
    assert window_of(period_end=FOREVER)[0] == Window(START, FOREVER)
    assert window_of(status="past_due", period_end=FOREVER, past_due_since=FOREVER - DAY)[0].end == FOREVER
    assert purchase_window(a_purchase(), PricePolicy(access_days=10**7)).end == FOREVER


def test_a_purchase_holds_from_payment_for_ever() -> None:
    assert purchase_window(a_purchase(paid_at=START + DAY), DEFAULTS) == Window(START + DAY, FOREVER)


def test_a_purchase_with_access_days_holds_for_that_many_times_24_hours() -> None:
    window = purchase_window(a_purchase(), PricePolicy(access_days=30))

    assert window == Window(START, START + timedelta(hours=720))


def test_a_grant_holds_in_its_own_window() -> None:
    grant = a_grant(valid_from=START + DAY, valid_to=START + 2 * DAY)

    assert grant_window(grant) == Window(START + DAY, START + 2 * DAY)


def test_a_revoked_grant_ends_where_it_was_revoked() -> None:
    grant = a_grant(valid_to=START + 9 * DAY)

    assert grant_window(a_grant(revoked_at=START + DAY)) == Window(START, START + DAY)
    assert grant_window(a_grant(valid_to=grant.valid_to, revoked_at=START + 10 * DAY)).end == grant.valid_to


def test_a_grant_revoked_before_it_began_holds_never() -> None:
    assert grant_window(a_grant(revoked_at=START - DAY)).empty


def test_an_item_is_a_source_of_each_benefit_with_the_evidence_for_it() -> None:
    catalog = a_catalog({"prod_pro": (Benefit("export", value=True), Benefit("seats", 5, priority=7))})

    export, seats = sources_of(an_item(status="past_due", past_due_since=START), catalog)

    assert export == Source(
        kind="subscription_item",
        id="si_1",
        feature="export",
        value=True,
        window=Window(START, START + GRACE),
        since=START,
        priority=0,
        end_reason="past_due_grace_ended",
        evidence=(
            ("subscription", "sub_1"),
            ("status", "past_due"),
            ("product", "prod_pro"),
            ("price", "price_pro"),
            ("event", "evt_1"),
        ),
    )
    assert isinstance(seats, Source)
    assert (seats.feature, seats.value, seats.priority) == ("seats", 5, 7)


def test_an_item_is_held_by_the_policy_of_its_own_price() -> None:
    catalog = a_catalog(policies={"price_pro": PricePolicy(renewal_leeway=HOUR)})

    (own,) = sources_of(an_item(), catalog)
    (other,) = sources_of(an_item(price_id="price_other"), catalog)

    assert own.window.end == PERIOD_END + HOUR
    assert other.window.end == PERIOD_END + LEEWAY


def test_a_purchase_is_a_source_since_its_payment_by_the_policy_of_its_own_price() -> None:
    catalog = a_catalog(policies={"price_life": PricePolicy(access_days=2)})

    (source,) = sources_of(a_purchase(paid_at=START + DAY), catalog)

    assert source == Source(
        kind="purchase",
        id="cs_1/li_1",
        feature="export",
        value=True,
        window=Window(START + DAY, START + 3 * DAY),
        since=START + DAY,
        evidence=(("product", "prod_life"), ("price", "price_life"), ("event", "evt_2")),
    )


@pytest.mark.parametrize("holding", [an_item(price_id="price_own"), a_purchase(price_id="price_own")])
def test_a_holding_gives_what_its_own_price_gives(holding: Any) -> None:
    (source,) = sources_of(holding, a_catalog({}, {"price_own": (Benefit("seats", 3),)}))

    assert isinstance(source, Source)
    assert (source.feature, source.value) == ("seats", 3)


def test_a_holding_whose_event_is_unknown_names_none() -> None:
    (source,) = sources_of(a_purchase(event=None), a_catalog())

    assert isinstance(source, Source)
    assert "event" not in dict(source.evidence)


@pytest.mark.parametrize("holding", [an_item(quantity=30), a_purchase(quantity=30)])
def test_thirty_seats_bought_give_thirty_times_a_per_unit_benefit(holding: Any) -> None:
    given = (Benefit("seats", 2, per_unit=True),)

    (source,) = sources_of(holding, a_catalog({"prod_pro": given, "prod_life": given}))

    assert isinstance(source, Source)
    assert source.value == 60


def test_a_benefit_that_is_not_per_unit_is_given_once_whatever_the_quantity() -> None:
    (source,) = sources_of(an_item(quantity=30), a_catalog({"prod_pro": (Benefit("seats", 2),)}))

    assert isinstance(source, Source)
    assert source.value == 2


def test_unlimited_times_any_quantity_is_unlimited() -> None:
    catalog = a_catalog({"prod_pro": (Benefit("seats", UNLIMITED, per_unit=True),)})

    (source,) = sources_of(an_item(quantity=3), catalog)

    assert isinstance(source, Source)
    assert source.value == UNLIMITED


@pytest.mark.parametrize("holding", [an_item(), a_purchase(), a_grant(), a_denial()])
def test_a_feature_the_project_no_longer_has_is_given_by_nothing(holding: Any) -> None:
    assert sources_of(holding, a_catalog(features=(Feature("other", "boolean"),))) == []


def test_a_grant_is_a_source_since_its_making() -> None:
    grant = a_grant(feature="theme", value={"dark": 1}, priority=4, created_at=START - DAY)

    assert sources_of(grant, a_catalog()) == [
        Source(
            kind="grant",
            id="grant_1",
            feature="theme",
            value={"dark": 1},
            window=Window(START, FOREVER),
            since=START - DAY,
            priority=4,
        )
    ]


def test_a_denial_takes_away_in_its_own_window() -> None:
    denial = a_denial(valid_to=START + DAY)

    assert sources_of(denial, a_catalog()) == [Denial("grant_no", "export", Window(START, START + DAY))]


@pytest.mark.parametrize("grant", [a_grant(project_id="maps"), a_denial(project_id="maps")])
def test_a_grant_in_another_project_of_the_namespace_is_not_this_ones(grant: Grant) -> None:
    assert sources_of(grant, a_catalog()) == []
