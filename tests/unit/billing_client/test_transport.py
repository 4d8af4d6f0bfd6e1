"""Over real sockets: keys, connections, and answers that come too slowly or not at all."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from billing_client import AsyncBillingClient, BillingClient, Options, Patience, Raise, Unavailable
from billing_client.wire import LARGEST
from tests.support.scripted_http import Step, drip, hang_up, reply, scripted, silence

KEY = "bk_test_secret"
CHECK = b"""{"allowed": true, "value": true, "reason": "entitled", "valid_to": null, "feature": "export",
 "project_id": "notes", "user_id": "ada", "version": 4, "as_of": "2026-11-23T16:34:02.928702Z", "stale": false}"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

Check = Callable[[str, Patience], object]


def by_threads(url: str, patience: Patience) -> object:
    with BillingClient(url, KEY, Options(otherwise=Raise(), reads=patience, fresh_for=0, stale_for=0)) as billing:
        billing.check("ada", "export")
        return billing.check("ada", "export")


def by_asyncio(url: str, patience: Patience) -> object:
    async def ask() -> object:
        options = Options(otherwise=Raise(), reads=patience, fresh_for=0, stale_for=0)
        async with AsyncBillingClient(url, KEY, options) as billing:
            await billing.check("ada", "export")
            return await billing.check("ada", "export")

    return asyncio.run(ask())


def dripping_body(connection: socket.socket, stop: threading.Event) -> bool:
    """Each read succeeds in time, their sum does not."""
    connection.sendall(HEAD)
    return drip(b" " * 1000, 0.05)(connection, stop)


both = pytest.mark.parametrize("check", [by_threads, by_asyncio])
QUICK = Patience(deadline=0.2, timeout=0.2, tries=1)


@both
def test_the_key_goes_along_and_the_connection_is_kept(check: Check) -> None:
    with scripted(reply(CHECK), reply(CHECK)) as server:
        check(server.url, Patience(deadline=5, timeout=5))

        assert server.connections == 1
    assert re.search(rb"\r\nauthorization: Bearer bk_test_secret\r\n", server.requests[0], re.IGNORECASE)
    assert re.search(rb"\r\nuser-agent: billing-client/", server.requests[0], re.IGNORECASE)


@both
def test_a_connection_that_was_closed_meanwhile_costs_a_retry_only(check: Check) -> None:
    with scripted(reply(CHECK, keep=False), reply(CHECK), reply(CHECK)) as server:
        assert check(server.url, Patience(deadline=5, timeout=5))


@both
@pytest.mark.parametrize("step", [silence(), hang_up(), hang_up(b"HTTP/1.1 200 OK\r\nContent-Le"), dripping_body])
def test_no_answer_or_a_dripping_one_ends_with_the_deadline(check: Check, step: Step) -> None:
    with scripted(step) as server:
        began = time.monotonic()
        with pytest.raises(Unavailable) as fault:
            check(server.url, QUICK)

    assert fault.value.code == "unreachable"
    assert time.monotonic() - began < 2
    assert KEY not in str(fault.value)


@both
def test_an_endless_answer_is_not_read_to_its_end(check: Check) -> None:
    with scripted(reply(b" " * (LARGEST + 1))) as server, pytest.raises(Unavailable):
        check(server.url, Patience(deadline=10, timeout=10, tries=1))


@pytest.mark.parametrize("url", ["", "billing.example", "ftp://billing.example", "https://"])
def test_a_url_that_leads_nowhere_is_refused_at_once(url: str) -> None:
    with pytest.raises((ValueError, httpx.InvalidURL)):
        BillingClient(url, KEY)


@pytest.mark.parametrize("key", ["", "bk test", "bk_test\r\nX: y", "bk_tést"])
def test_a_key_that_is_none_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as refused:
        AsyncBillingClient("https://billing.example", key)

    assert not key or key not in str(refused.value)
