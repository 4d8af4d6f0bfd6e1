"""One request with its retries, without a network: the conversation is driven by the test."""

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

from billing_client.asking import Ask, Lost, Means, Pause, Reply, Send, ask, document, get, new_key, post, read
from billing_client.errors import FieldFault, Refused, Unavailable
from billing_client.options import Patience

QUESTION = Ask("POST", "/api/v1/checkout", {"idempotency-key": "one"}, b"{}")
DONE = Reply(200, {}, b'{"a": 1}')


def problem(code: str, status: int, *, retryable: bool, headers: dict[str, str] | None = None, **more: object) -> Reply:
    told = {"code": code, "detail": "why", "request_id": "r-1", "retryable": retryable, "status": status, **more}
    return Reply(status, headers or {}, json.dumps(told).encode())


@dataclass
class Talk:
    """What was sent and waited, on a clock that moves by the pauses and by `slow` a request."""

    patience: Patience
    slow: float = 0.0
    chance: float = 1.0
    now: float = 100.0
    sends: list[Send] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def drive(self, *replies: Reply | Lost) -> Reply:
        talk: Generator[Any, Any, Reply] = ask(QUESTION, self.patience, Means(lambda: self.now, lambda: self.chance))
        left = list(replies)
        try:
            step = next(talk)
            while True:
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    self.now += step.seconds
                    step = talk.send(None)
                    continue
                self.sends.append(step)
                self.now += self.slow
                reply = left.pop(0)
                step = talk.throw(reply) if isinstance(reply, Lost) else talk.send(reply)
        except StopIteration as done:
            found: Reply = done.value
            return found


def test_every_try_is_the_same_request_with_the_same_key() -> None:
    talk = Talk(Patience(deadline=10, timeout=5))

    assert talk.drive(Lost("ReadTimeout"), problem("contended", 503, retryable=True), DONE) is DONE
    assert [send.ask for send in talk.sends] == [QUESTION] * 3


def test_pauses_double_up_to_the_longest_and_chance_shortens_them() -> None:
    patience = Patience(deadline=100, timeout=5, tries=6, first_pause=1, longest_pause=5)
    talk, lucky = Talk(patience), Talk(patience, chance=0.25)

    for each in (talk, lucky):
        each.drive(*[Lost("ConnectError")] * 5, DONE)

    assert talk.pauses == [1, 2, 4, 5, 5]
    assert lucky.pauses == [0.25, 0.5, 1, 1.25, 1.25]


def test_a_retry_after_is_waited_for() -> None:
    talk = Talk(Patience(deadline=10, timeout=5), chance=0.0)

    talk.drive(problem("rate_limited", 429, retryable=True, headers={"retry-after": "3"}), DONE)

    assert talk.pauses == [3]


def test_a_retry_after_past_the_deadline_ends_the_call_at_once() -> None:
    talk = Talk(Patience(deadline=10, timeout=5))

    with pytest.raises(Unavailable) as fault:
        talk.drive(problem("rate_limited", 429, retryable=True, headers={"retry-after": "60"}))

    assert (fault.value.code, fault.value.retry_after, talk.pauses) == ("rate_limited", 60, [])


def test_a_try_gets_no_more_time_than_the_call_has_left() -> None:
    talk = Talk(Patience(deadline=10, timeout=6, tries=9, first_pause=1), slow=6)

    with pytest.raises(Unavailable):
        talk.drive(*[Lost("ReadTimeout")] * 2)

    assert [send.timeout for send in talk.sends] == [6, 3]


def test_the_last_fault_is_told_after_the_last_try() -> None:
    with pytest.raises(Unavailable) as fault:
        Talk(Patience(deadline=10, timeout=5, tries=2)).drive(
            Lost("ConnectError"), problem("stripe_unavailable", 503, retryable=True)
        )

    told = fault.value
    assert (told.code, told.detail, told.status, told.request_id, told.retryable) == (
        "stripe_unavailable",
        "why",
        503,
        "r-1",
        True,
    )


def test_what_will_not_be_better_is_not_tried_again() -> None:
    talk = Talk(Patience(deadline=10, timeout=5))

    with pytest.raises(Unavailable) as fault:
        talk.drive(problem("internal", 500, retryable=False))

    assert not fault.value.retryable


def test_a_request_in_flight_is_waited_for_though_it_is_a_409() -> None:
    assert Talk(Patience(deadline=10, timeout=5)).drive(problem("in_flight", 409, retryable=True), DONE) is DONE


def test_a_refusal_names_the_fields() -> None:
    with pytest.raises(Refused) as refused:
        Talk(Patience(deadline=10, timeout=5)).drive(
            problem("invalid_request", 422, retryable=False, errors=[{"pointer": "/user_id", "detail": "too long"}])
        )

    assert refused.value.errors == (FieldFault("/user_id", "too long"),)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"no"', b"\xff"])
def test_a_proxys_answer_is_judged_by_its_status(body: bytes) -> None:
    patience = Patience(deadline=10, timeout=5)

    with pytest.raises(Refused) as refused:
        Talk(patience).drive(Reply(403, {"apigw-requestid": "gw-1"}, body))
    assert (refused.value.code, refused.value.request_id) == ("unexpected_answer", "gw-1")
    assert Talk(patience).drive(Reply(502, {}, body), Reply(429, {}, body), DONE) is DONE


def test_a_redirect_is_refused_not_followed() -> None:
    with pytest.raises(Refused) as refused:
        Talk(Patience(deadline=10, timeout=5)).drive(Reply(302, {"location": "https://elsewhere.example"}, b""))

    assert refused.value.status == 302


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"\xff"])
def test_a_success_that_is_not_this_api_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unavailable) as fault:
        document(Reply(200, {}, body))

    assert (fault.value.code, fault.value.retryable) == ("unreadable_answer", False)


def test_a_document_that_lacks_a_member_is_no_answer() -> None:
    with pytest.raises(Unavailable) as fault:
        read(DONE, lambda found: found["url"])

    assert fault.value.code == "unreadable_answer"


def test_a_query_is_encoded_whole_and_leaves_out_what_is_none() -> None:
    assert get("/p", {"user_id": "a b/&ü", "at": None}).target == "/p?user_id=a%20b%2F%26%C3%BC"
    assert get("/p").target == "/p"


def test_a_write_has_its_key_and_no_two_are_alike() -> None:
    first, second = (post("/p", {"a": 1}, key=new_key()) for _ in range(2))

    assert first.content == b'{"a": 1}'
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]


@pytest.mark.parametrize("wrong", [{"deadline": 0}, {"timeout": -1}, {"tries": 0}])
def test_patience_is_more_than_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Patience(**{"deadline": 1, "timeout": 1, **wrong})
