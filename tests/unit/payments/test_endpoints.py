"""A webhook endpoint as it is at Stripe, against how it must be."""

import pytest

from billing.payments.client import API_VERSION
from billing.payments.endpoints import EVENTS, Endpoint, Endpoints, Fault, faults_of
from billing.payments.events import READERS

URL = "https://billing.example/api/v1/webhooks/stripe"


def endpoint(
    *, enabled: bool = True, api_version: str | None = API_VERSION, events: tuple[str, ...] = EVENTS, url: str = URL
) -> Endpoint:
    return Endpoint("we_1", url, enabled, api_version, events, livemode=False, created=1)


def test_an_endpoint_is_to_send_what_there_is_a_reader_for_and_nothing_else() -> None:
    assert set(EVENTS) == set(READERS)
    assert faults_of(endpoint()) == []
    assert faults_of(endpoint(events=EVENTS[::-1])) == []


@pytest.mark.parametrize(
    ("wrong", "faults"),
    [
        (endpoint(enabled=False), ["disabled"]),
        (endpoint(api_version="2020-08-27"), ["version"]),
        (endpoint(api_version=None), ["version"]),
        (endpoint(events=EVENTS[1:]), ["events"]),
        (endpoint(events=(*EVENTS, "account.updated")), ["events"]),
        (endpoint(events=("*",)), ["events"]),
        (endpoint(enabled=False, api_version=None, events=()), ["version", "disabled", "events"]),
    ],
)
def test_what_is_wrong_is_told_and_first_what_only_another_endpoint_mends(wrong: Endpoint, faults: list[Fault]) -> None:
    assert faults_of(wrong) == faults


def test_an_endpoint_for_all_events_lacks_none_and_sends_too_much() -> None:
    every = endpoint(events=("*",))
    assert (every.missing, every.superfluous) == ((), ("*",))


def test_only_those_at_the_very_url_count() -> None:
    ours, other = endpoint(), endpoint(url=URL + "/")
    assert Endpoints((ours, other), 1).at_url(URL) == (ours,)
