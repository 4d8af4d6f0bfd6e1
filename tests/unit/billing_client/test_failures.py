"""What a feature's policy makes of a service that does not answer."""

from datetime import timedelta

import pytest

from billing_client import Closed, LastKnown, Open, Patience, Policy, Raise, Refused, Unavailable
from billing_client.breaker import Breaker
from billing_client.pretend import Fault
from tests.unit.billing_client.desk import Desk

FAULTS: list[Fault] = ["unreachable", "unavailable", "rate_limited", "internal"]


@pytest.mark.parametrize("how", FAULTS)
def test_a_closed_feature_is_denied_and_says_that_nobody_answered(desk: Desk, how: Fault) -> None:
    client = desk.client(policies={"export": Closed()})

    with desk.fake.down(how):
        check = client.check("ada", "export")

    assert (check.allowed, check.reason, check.source, check.degraded) == (False, "unavailable", "policy", True)


def test_an_open_feature_is_allowed_with_the_value_given_for_it(desk: Desk) -> None:
    client = desk.client(policies={"seats": Open(value=3)})

    with desk.fake.down():
        check = client.check("ada", "seats")

    assert (check.allowed, check.value, check.source, check.degraded) == (True, 3, "policy", True)


def test_a_feature_may_leave_the_decision_to_the_caller(desk: Desk) -> None:
    client = desk.client(otherwise=Raise())

    with desk.fake.down("unreachable"), pytest.raises(Unavailable) as fault:
        client.check("ada", "export")

    assert (fault.value.code, fault.value.retryable) == ("unreachable", True)


def test_the_last_known_answer_serves_within_its_bound(desk: Desk) -> None:
    desk.fake.grant("ada", "seats", 5)
    client = desk.client(policies={"seats": LastKnown(60)})
    client.check("ada", "seats")

    with desk.fake.down():
        desk.fake.advance(59)
        known = client.check("ada", "seats")
        desk.fake.advance(61)
        too_old = client.check("ada", "seats")

    assert (known.value, known.source, known.degraded) == (5, "last_known", True)
    assert (too_old.allowed, too_old.source) == (False, "policy")


def test_the_last_known_answer_never_grants_past_its_window(desk: Desk) -> None:
    desk.fake.grant("ada", "export", until=desk.fake.now + timedelta(seconds=20))
    client = desk.client(policies={"export": LastKnown(3600)})
    client.check("ada", "export")

    with desk.fake.down():
        desk.fake.advance(18.5)
        assert client.check("ada", "export").source == "last_known"
        desk.fake.advance(1.5)
        assert not client.check("ada", "export")


@pytest.mark.parametrize(("otherwise", "allowed"), [(Closed(), False), (Open(), True)])
def test_without_a_last_known_answer_its_other_policy_decides(
    desk: Desk, otherwise: Closed | Open, allowed: bool
) -> None:
    client = desk.client(otherwise=LastKnown(60, otherwise))

    with desk.fake.down():
        assert client.check("ada", "export").allowed is allowed


def test_of_many_each_follows_its_own_feature(desk: Desk) -> None:
    policies: dict[str, Policy] = {"export": Open(), "seats": Closed()}
    client = desk.client(policies=policies)

    with desk.fake.down():
        checks = client.check_many([("ada", "export"), ("ada", "seats")])

    assert [check.allowed for check in checks] == [True, False]


def test_an_answer_by_policy_is_not_remembered(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client()
    with desk.fake.down():
        client.check("ada", "export")

    assert client.check("ada", "export")


def test_a_failed_renewal_keeps_the_answer_till_its_time_is_over(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=5, stale_for=10)
    client.check("ada", "export")

    with desk.fake.down():
        desk.fake.advance(6)
        assert client.check("ada", "export")
        desk.until(lambda: "could not renew" in caplog.text)
        assert client.check("ada", "export").source == "memory"
        desk.fake.advance(10)
        assert client.check("ada", "export").source == "policy"
    assert "ada" not in caplog.text


def test_a_service_that_is_down_is_not_asked_by_every_request(desk: Desk) -> None:
    client = desk.client(reads=Patience(deadline=2, timeout=1, tries=1))

    with desk.fake.down():
        for number in range(20):
            client.check(f"user-{number}", "export")
        assert len(desk.fake.requests) == 3
    desk.fake.advance(1)
    desk.fake.grant("ada", "export")
    assert client.check("ada", "export")
    assert client.check("bob", "export").source == "service"


def test_a_service_that_refuses_is_up(desk: Desk) -> None:
    client = desk.client(reads=Patience(deadline=2, timeout=1, tries=1))
    for _ in range(3):
        desk.fake.fail_next(2)
        client.check("ada", "export")
        client.check("ada", "export")
        desk.fake.fail_next(1, "project_suspended")
        with pytest.raises(Refused):
            client.check("ada", "export")

    assert client.check("ada", "export").source == "service"


def test_one_request_alone_finds_out_whether_it_is_up_again() -> None:
    breaker = Breaker(failures=1, rest=1.0)
    breaker.failed(0.0)

    assert [breaker.tries(at) for at in (0.5, 1.0, 1.0, 1.5, 2.0)] == [False, True, False, False, True]


def test_a_service_that_limits_the_rate_is_up(desk: Desk) -> None:
    client = desk.client(reads=Patience(deadline=2, timeout=1, tries=1))
    desk.fake.fail_next(5, "rate_limited")
    for number in range(5):
        client.check(f"user-{number}", "export")

    assert client.check("ada", "export").source == "service"


@pytest.mark.parametrize("seconds", [0, -1, 86_401, float("nan")])
def test_a_last_known_answer_serves_a_day_at_most(seconds: float) -> None:
    with pytest.raises(ValueError, match="at most"):
        LastKnown(seconds)
