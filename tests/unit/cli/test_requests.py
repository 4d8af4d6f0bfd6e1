"""Trying again, Idempotency-Keys, and what ends a command."""

import httpx
import pytest

from billing.http.problems import KINDS
from billing_cli.api import TRIES
from billing_cli.mends import MENDS
from tests.unit.cli.terminal import KEY, URL, Terminal, ok, page, problem

PROJECT = {"id": "notes", "name": "Notes", "namespace": "notes", "status": "active", "catalog_epoch": 1}
SUSPEND = ("project", "suspend", "notes")
LATER = problem(503, "contended", retryable=True)


def test_a_request_carries_the_admin_key_and_the_json_of_the_answer_is_printed_as_it_came(terminal: Terminal) -> None:
    text = '{"data":[ ],  "has_more":false,"next_cursor":null}'
    done = terminal.replying(httpx.Response(200, text=text)).run("project", "list", "--json")
    assert (done.exit_code, done.stdout) == (0, text + "\n")
    assert terminal.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert terminal.asked[0].url == f"{URL}/api/v1/admin/projects?limit=20"


def test_a_write_is_tried_again_with_the_same_key_after_a_lost_answer_and_a_passing_fault(terminal: Terminal) -> None:
    done = terminal.replying(httpx.ReadTimeout("slow"), LATER, ok(PROJECT)).run(*SUSPEND)
    assert done.exit_code == 0
    keys = terminal.keys()
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0] is not None
    assert terminal.pauses == [0.5, 1.0]


def test_two_invocations_have_keys_of_their_own(terminal: Terminal) -> None:
    for _ in range(2):
        terminal.replying(ok(PROJECT)).run(*SUSPEND)
    assert len(set(terminal.keys())) == 2


def test_a_given_idempotency_key_is_sent(terminal: Terminal) -> None:
    terminal.replying(ok(PROJECT)).run(*SUSPEND, "--idempotency-key", "of-before")
    assert terminal.keys() == ["of-before"]


def test_a_read_carries_no_idempotency_key(terminal: Terminal) -> None:
    terminal.replying(page()).run("project", "list")
    assert terminal.keys() == [None]


def test_retry_after_is_waited_for_but_never_longer_than_half_a_minute(terminal: Terminal) -> None:
    waits = [problem(429, "rate_limited", retryable=True, headers={"Retry-After": text}) for text in ("7", "9999")]
    assert terminal.replying(*waits, ok(PROJECT)).run(*SUSPEND).exit_code == 0
    assert terminal.pauses == [7.0, 30.0]


def test_after_the_last_try_it_ends_with_3_and_says_how_to_go_on_without_doing_it_twice(terminal: Terminal) -> None:
    done = terminal.replying(LATER).run(*SUSPEND)
    assert (done.exit_code, done.stdout) == (3, "")
    assert len(terminal.asked) == TRIES
    assert f"--idempotency-key {terminal.keys()[0]}" in done.stderr
    assert "req-7" in done.stderr


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_gateway_that_answers_for_the_service_is_asked_again(terminal: Terminal, status: int) -> None:
    broken = httpx.Response(status, json={"message": "Internal server error"})
    assert terminal.replying(broken, page()).run("project", "list").exit_code == 0


@pytest.mark.parametrize(("status", "code", "exit_code"), [(409, "project_exists", 1), (503, "stripe_key_refused", 3)])
def test_what_would_be_answered_the_same_again_is_asked_once(
    terminal: Terminal, status: int, code: str, exit_code: int
) -> None:
    assert terminal.replying(problem(status, code)).run(*SUSPEND).exit_code == exit_code
    assert (len(terminal.asked), terminal.pauses) == (1, [])


def test_a_refusal_shows_every_place_what_to_do_and_the_request_id_on_standard_error(terminal: Terminal) -> None:
    errors = [{"pointer": "/id", "detail": "too long"}, {"pointer": "", "detail": "no body"}]
    done = terminal.replying(problem(422, "invalid_request", errors=errors)).run("project", "create", "notes")
    assert (done.exit_code, done.stdout) == (1, "")
    for told in ("What went wrong", "The details.", "/id  too long", "/  no body", MENDS["invalid_request"], "req-7"):
        assert told in done.stderr


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(403, json={"message": "no"})])
def test_an_answer_that_is_not_this_apis_asks_for_the_right_address(terminal: Terminal, answer: httpx.Response) -> None:
    done = terminal.replying(answer).run("project", "list")
    assert done.exit_code == 3
    assert "not as this API does" in done.stderr


def test_nobody_there_is_3_and_names_the_address(terminal: Terminal) -> None:
    done = terminal.replying(httpx.ConnectError("refused")).run("project", "list")
    assert done.exit_code == 3
    assert f"{URL} does not answer" in done.stderr


def test_an_id_is_one_segment_of_the_path_whatever_it_contains(terminal: Terminal) -> None:
    terminal.replying(problem(404, "customer_not_found")).run("customer", "show", "notes", "a/b?c=%2F ü")
    assert terminal.asked[0].url.raw_path == b"/api/v1/admin/customers/notes/a%2Fb%3Fc%3D%252F%20%C3%BC"


def test_what_to_do_is_said_about_codes_that_there_are() -> None:
    assert set(MENDS) <= set(KINDS)


@pytest.mark.parametrize("code", ["mixed_prices", "of_a_newer_release"])
def test_a_code_without_advice_of_its_own_leads_to_the_page_of_errors(terminal: Terminal, code: str) -> None:
    assert (
        f"docs/errors.md says what to do about `{code}`" in terminal.replying(problem(422, code)).run(*SUSPEND).stderr
    )
