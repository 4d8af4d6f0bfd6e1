"""Stripe's answers as they come over the wire, and what an asking client makes of them."""

import gzip
import json
import socket
import threading
from urllib.parse import parse_qsl, urlsplit

import pytest
import stripe

from billing.errors import Transient
from billing.payments.client import API_VERSION, Rejected, connect, our_errors
from billing.payments.transport import Transport
from tests.support.scripted_http import ScriptedServer, Step, hang_up, reply, scripted, silence

BODY = b'{"object": "list"}'
HURRIED = (1.0, 0.2)


def answer(body: bytes, status: int = 200, **headers: str) -> Step:
    def step(connection: socket.socket, _stop: threading.Event) -> bool:
        told = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"HTTP/1.1 {status} X\r\n{told}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    return step


def refusal(**error: str) -> bytes:
    return json.dumps({"error": {"message": "Sorry, someone@example.com.", **error}}).encode()


def get(server: ScriptedServer, transport: Transport) -> tuple[bytes, int]:
    body, status, _ = transport.request("get", f"{server.url}/v1/customers", {})
    return body, status


# --- the transport ---------------------------------------------------------------------------------------------------


def test_a_compressed_answer_is_asked_for_and_read() -> None:
    with scripted(answer(gzip.compress(BODY), content_encoding="gzip")) as server:
        assert get(server, Transport(server.url, HURRIED)) == (BODY, 200)
    assert b"accept-encoding: gzip" in server.requests[0].lower()


def test_questions_share_a_connection() -> None:
    with scripted(reply(BODY), reply(BODY)) as server:
        transport = Transport(server.url, HURRIED)
        assert [get(server, transport), get(server, transport)] == [(BODY, 200)] * 2
        transport.close()
    assert server.connections == 1


@pytest.mark.parametrize("step", [silence(), hang_up(), hang_up(b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n123")])
def test_no_answer_or_half_of_one_may_be_asked_for_again(step: Step) -> None:
    with scripted(step) as server, pytest.raises(stripe.APIConnectionError) as caught:
        get(server, Transport(server.url, HURRIED))
    assert caught.value.should_retry


def test_a_server_that_speaks_no_tls_is_not_believed() -> None:
    def greet(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ready\r\n")
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        greeting = threading.Thread(target=greet, args=(listener,))
        greeting.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(stripe.APIConnectionError) as caught:
            Transport(url, (1.0, 5.0)).request("get", url, {})
        greeting.join()
    assert not caught.value.should_retry


def test_the_environments_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with scripted(reply(BODY)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        body, _, _ = Transport("http://stripe.invalid", HURRIED).request("get", "http://stripe.invalid/v1/x", {})
    assert body == BODY
    assert proxy.requests[0].startswith(b"GET http://stripe.invalid/v1/x ")


def test_no_proxy_is_asked_for_what_the_environment_excepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with scripted(reply(BODY)) as server:
        assert get(server, Transport(server.url, HURRIED)) == (BODY, 200)


# --- the asking client -----------------------------------------------------------------------------------------------


def test_parameters_are_sent_as_the_sdk_sends_them() -> None:
    params = {"limit": 3, "created": {"gte": 5, "lt": 9}, "ids": ["a&b", "c"], "active": True, "payment[type]": "x"}
    with scripted(reply(BODY), reply(BODY)) as server:
        connect("sk_test_lean", server.url).raw_request("get", "/v1/prices", **params)
        sdk = stripe.StripeClient("sk_test_lean", stripe_version=API_VERSION, base_addresses={"api": server.url})
        sdk.raw_request("get", "/v1/prices", **params)
    ours, theirs = (parse_qsl(urlsplit(request.split(b" ")[1]).query) for request in server.requests)
    assert ours == theirs


def test_what_is_not_there_is_an_invalid_request() -> None:
    step = answer(refusal(code="resource_missing", param="id"), 404)
    with scripted(step) as server, pytest.raises(stripe.InvalidRequestError) as caught:
        connect("sk_test_404", server.url).raw_request("get", "/v1/prices/price_none")
    assert (caught.value.code, caught.value.param, caught.value.http_status) == ("resource_missing", "id", 404)


def test_a_refusal_names_the_request_and_quotes_nothing() -> None:
    step = answer(refusal(code="bad", param="created"), 400, Request_Id="req_1")
    with scripted(step) as server, pytest.raises(Rejected) as caught, our_errors():
        connect("sk_test_400", server.url).raw_request("get", "/v1/prices")
    assert (caught.value.reason, caught.value.param) == ("bad", "created")
    assert "req_1" in str(caught.value)
    assert "example.com" not in repr(caught.value.__cause__)


def test_when_to_ask_again_is_told_however_the_header_is_spelt() -> None:
    step = answer(refusal(code="rate_limit"), 429, retry_after="7")
    with scripted(step) as server, pytest.raises(Transient) as caught, our_errors():
        connect("sk_test_429", server.url).raw_request("get", "/v1/prices")
    assert caught.value.retry_after == 7


def test_an_error_page_of_a_server_between_is_transient() -> None:
    with scripted(answer(b"<html>", 502)) as server, pytest.raises(Transient, match="answered 502"), our_errors():
        connect("sk_test_502", server.url, retries=0).raw_request("get", "/v1/prices")


def test_a_connection_that_ended_meanwhile_is_replaced() -> None:
    with scripted(reply(BODY, keep=False), reply(BODY)) as server:
        client = connect("sk_test_ended", server.url)
        assert [client.raw_request("get", "/v1/prices").data for _ in range(2)] == [{"object": "list"}] * 2
    assert server.connections == 2


def test_a_fault_that_passes_is_not_noticed() -> None:
    with scripted(hang_up(), answer(b"{}", 503), reply(BODY)) as server:
        assert connect("sk_test_503", server.url).raw_request("get", "/v1/prices").data == {"object": "list"}
