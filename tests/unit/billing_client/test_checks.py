"""What a check answers, for how long it is remembered, and that it never outlives what the service said."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from billing_client import BillingClient, LastKnown, Options, Refused
from billing_client.moments import Clock
from billing_client.testing import KEY, URL, FakeBilling
from tests.unit.billing_client.desk import Desk

CHECK = ("GET", "/api/v1/entitlements/check")


def behind(fake: FakeBilling, seconds: float) -> Clock:
    """A local clock that goes with the service's, so far behind it."""
    return Clock(lambda: fake.now.timestamp() - 1e9, lambda: fake.now.timestamp() - seconds)


def test_a_check_is_what_the_service_says(desk: Desk) -> None:
    until = desk.fake.now + timedelta(days=30)
    desk.fake.grant("ada", "seats", 5, until=until)

    check = desk.client().check("ada", "seats")

    assert (check.allowed, check.value, check.reason, check.valid_to) == (True, 5, "entitled", until)
    assert (check.user_id, check.feature, check.source, check.degraded) == ("ada", "seats", "service", False)


def test_a_no_is_false_in_an_if(desk: Desk) -> None:
    check = desk.client().check("ada", "export")

    assert not check
    assert (check.allowed, check.value, check.reason) == (False, None, "no_source")


def test_user_ids_of_any_characters_arrive_as_they_are(desk: Desk) -> None:
    desk.fake.grant("a/b c+d&ü=%2F", "export")

    assert desk.client().check("a/b c+d&ü=%2F", "export")


def test_a_fresh_yes_is_not_asked_again(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=5)
    client.check("ada", "export")
    desk.fake.advance(4.9)

    assert client.check("ada", "export").source == "memory"
    assert desk.fake.requests == (CHECK,)


def test_a_yes_past_its_freshness_is_given_once_more_while_it_is_asked_again(desk: Desk) -> None:
    desk.fake.grant("ada", "seats", 5)
    client = desk.client(fresh_for=5, stale_for=10)
    client.check("ada", "seats")
    desk.fake.grant("ada", "seats", 9)
    desk.fake.advance(6)

    assert client.check("ada", "seats").value == 5
    desk.until(lambda: client.check("ada", "seats").value == 9)
    assert desk.fake.requests == (CHECK, CHECK)


def test_a_yes_too_old_to_be_given_is_asked_first(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=5, stale_for=10)
    client.check("ada", "export")
    desk.fake.take("ada", "export")
    desk.fake.advance(15)

    assert client.check("ada", "export").reason == "expired"


def test_nothing_is_remembered_when_all_times_are_nought(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=0, stale_for=0, denied_for=0)
    client.check("ada", "export")
    desk.fake.take("ada", "export")

    assert not client.check("ada", "export")


def test_a_yes_never_outlives_its_window(desk: Desk) -> None:
    desk.fake.grant("ada", "export", until=desk.fake.now + timedelta(seconds=3))
    client = desk.client(fresh_for=3600, stale_for=3600)
    assert client.check("ada", "export")

    desk.fake.advance(2.9)
    assert client.check("ada", "export")
    desk.fake.advance(0.1)
    assert client.check("ada", "export").reason == "expired"


def test_a_yes_asked_for_long_after_the_last_change_never_outlives_its_window_either(desk: Desk) -> None:
    """`as_of` is when the version came to be, so it says nothing of how long an answer still holds."""
    desk.fake.grant("ada", "export", until=desk.fake.now + timedelta(days=30))
    desk.fake.advance(timedelta(days=30).total_seconds() - 3)
    client = desk.client(fresh_for=3600, stale_for=3600, policies={"export": LastKnown(3600)})
    assert client.check("ada", "export")

    desk.fake.advance(3)
    assert client.check("ada", "export").reason == "expired"


def test_what_holds_for_so_long_is_remembered_so_long_whatever_the_local_clock_says() -> None:
    fake = FakeBilling()
    fake.grant("ada", "export", until=fake.now + timedelta(seconds=60))
    with BillingClient(
        URL, KEY, Options(fresh_for=3600), transport=fake.transport, clock=behind(fake, 86_400)
    ) as client:
        client.check("ada", "export")
        fake.advance(58)
        assert client.check("ada", "export").source == "memory"
        fake.advance(2)
        assert client.check("ada", "export").reason == "expired"


def test_without_the_services_clock_the_local_one_ends_a_window() -> None:
    fake = FakeBilling()
    fake.grant("ada", "export", until=fake.now + timedelta(seconds=60))

    def without_date(request: httpx.Request) -> httpx.Response:
        response = fake.transport.handle_request(request)
        del response.headers["date"]
        return response

    transport = httpx.MockTransport(without_date)
    with BillingClient(URL, KEY, Options(fresh_for=3600), transport=transport, clock=behind(fake, 0)) as client:
        fake.advance(30)
        client.check("ada", "export")
        fake.advance(29)
        assert client.check("ada", "export").source == "memory"
        fake.advance(1)
        assert client.check("ada", "export").reason == "expired"


def test_a_no_ends_when_the_window_opens(desk: Desk) -> None:
    desk.fake.grant("ada", "export", since=desk.fake.now + timedelta(seconds=3))
    client = desk.client(denied_for=3600)
    assert client.check("ada", "export").reason == "not_started"

    desk.fake.advance(3)
    assert client.check("ada", "export")


def test_a_no_is_remembered_shortly_so_that_a_purchase_is_seen(desk: Desk) -> None:
    client = desk.client(denied_for=1, fresh_for=3600)
    assert not client.check("ada", "export")
    desk.fake.grant("ada", "export")

    assert not client.check("ada", "export")
    desk.fake.advance(1)
    assert client.check("ada", "export")


def test_a_newer_version_seen_for_one_feature_outdates_the_others(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=3600, denied_for=0)
    client.check("ada", "export")
    desk.fake.take("ada", "export")
    assert client.check("ada", "export")

    client.check("ada", "seats")

    assert not client.check("ada", "export")


def test_a_user_who_is_forgotten_is_asked_about_anew_and_no_other(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    desk.fake.grant("bob", "export")
    client = desk.client()
    client.check("ada", "export")
    client.check("bob", "export")
    desk.fake.take("ada", "export")

    client.forget("ada")

    assert not client.check("ada", "export")
    assert client.check("bob", "export").source == "memory"


def test_many_are_asked_a_hundred_in_a_request_and_come_in_order(desk: Desk) -> None:
    pairs = [(f"user-{number}", "export") for number in range(250)]
    desk.fake.grant("user-7", "export")
    client = desk.client()

    checks = client.check_many(pairs)

    assert [(check.user_id, check.feature) for check in checks] == pairs
    assert [check.user_id for check in checks if check] == ["user-7"]
    assert len(desk.fake.requests) == 3


def test_of_many_only_those_not_remembered_are_asked(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client()
    client.check("ada", "export")

    first, second = client.check_many([("ada", "export"), ("bob", "export")])

    assert (first.source, second.source) == ("memory", "service")
    assert client.check_many([]) == []


def test_a_feature_nobody_knows_is_no_error(desk: Desk) -> None:
    assert desk.client().check("ada", "exprot").reason == "feature_not_found"


def test_a_refusal_tells_its_code_and_request(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        desk.client().open_portal("nobody", "https://app.example/account")

    assert (refused.value.code, refused.value.status, refused.value.request_id) == ("customer_not_found", 404, "fake")


def test_of_many_what_is_due_is_asked_with_the_others(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=5, stale_for=10)
    client.check("ada", "export")
    desk.fake.advance(6)

    assert client.check_many([("ada", "export"), ("bob", "export")])[0].source == "service"
    assert client.check("ada", "export").source == "memory"
    assert len(desk.fake.requests) == 2


def test_answers_to_other_questions_are_no_answers() -> None:
    def other(_: httpx.Request) -> httpx.Response:
        about = {"project_id": "notes", "user_id": "eve", "version": 4, "as_of": "2026-11-23T16:34:02Z", "stale": False}
        check = {"allowed": True, "value": True, "reason": "entitled", "valid_to": None, "feature": "export", **about}
        return httpx.Response(200, json={"results": [check]})

    with BillingClient("https://billing.test", "bk_test_x", transport=httpx.MockTransport(other)) as client:
        assert not client.check_many([("ada", "export")])[0]


def test_a_past_instant_is_named_with_its_time_zone() -> None:
    with FakeBilling().client() as client:
        at = datetime(2026, 3, 1, tzinfo=UTC)
        assert client.explain("ada", "export", at)["at"] == "2026-03-01T00:00:00+00:00"
        with pytest.raises(ValueError, match="time zone"):
            client.explain("ada", "export", at.replace(tzinfo=None))
