import json
import socket
import threading

import pytest

from billing.errors import Transient
from billing.payments import sessions
from billing.payments.client import API_VERSION, Rejected, StripeClient, connect, create_once, derived_key, our_errors
from infra.local.stripe_double.double import StripeDouble
from tests.support.scripted_http import Step, scripted


def stored_fault(connection: socket.socket, _stop: threading.Event) -> bool:
    """Stripe's 500 of an earlier attempt, answered again under the same idempotency key."""
    body = json.dumps({"error": {"type": "api_error", "message": "Sorry, someone@example.com."}}).encode()
    head = f"HTTP/1.1 500 X\r\nIdempotent-Replayed: true\r\nStripe-Should-Retry: false\r\nContent-Length: {len(body)}"
    connection.sendall(head.encode() + b"\r\n\r\n" + body)
    return True


def made(identity: str) -> Step:
    def step(connection: socket.socket, _stop: threading.Event) -> bool:
        body = json.dumps({"id": identity, "object": "customer"}).encode()
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    return step


def test_every_request_asks_for_the_pinned_version_and_sends_no_telemetry(stripe: StripeClient) -> None:
    with scripted(made("cus_1"), made("cus_1")) as server:
        client = connect("sk_test_pin", server.url)
        client.v1.customers.retrieve("cus_1")
        client.v1.customers.retrieve("cus_1")
    for request in server.requests:
        assert f"stripe-version: {API_VERSION}".encode() in request.lower()
        assert b"telemetry" not in request.lower()


def test_one_key_has_one_client() -> None:
    assert connect("sk_test_a", "http://127.0.0.1:9") is connect("sk_test_a", "http://127.0.0.1:9")
    assert connect("sk_test_a", "http://127.0.0.1:9") is not connect("sk_test_b", "http://127.0.0.1:9")


def test_one_fault_of_stripes_is_not_noticed(double: StripeDouble, stripe: StripeClient) -> None:
    double.control.add_fault("500", apply="after")
    made_id = sessions.create_customer(stripe, "notes", "ann", 0)
    assert [c.id for c in stripe.v1.customers.list().data] == [made_id]


@pytest.mark.parametrize("action", ["503", "reset"])
def test_a_lasting_outage_is_transient(double: StripeDouble, stripe: StripeClient, action: str) -> None:
    double.control.add_fault(action, times=None)  # type: ignore[arg-type]
    with pytest.raises(Transient) as caught:
        sessions.create_customer(stripe, "notes", "ann", 0)
    assert caught.value.code == "stripe_unavailable"
    assert len(double.control.requests()) == 3


def test_too_many_requests_are_transient(double: StripeDouble, stripe: StripeClient) -> None:
    double.control.add_fault("429", times=None)
    with pytest.raises(Transient, match="answered 429"):
        sessions.create_customer(stripe, "notes", "ann", 0)


def test_stripe_out_of_reach_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Transient, match="did not answer"):
        sessions.create_customer(connect("sk_test_x", f"http://127.0.0.1:{port}"), "notes", "ann", 0)


def test_a_refused_api_key_is_told_as_such(double: StripeDouble) -> None:
    with pytest.raises(Transient) as caught:
        sessions.create_customer(connect("nonsense", double.url), "notes", "ann", 0)
    assert caught.value.code == "stripe_key_refused"
    assert "nonsense" not in str(caught.value)


def test_a_refusal_names_code_and_parameter_but_quotes_nothing(stripe: StripeClient) -> None:
    with pytest.raises(Rejected) as caught:
        sessions.open_portal(stripe, "cus_nobody", "https://app.example/")
    assert caught.value.missing("customer")
    assert "cus_nobody" not in str(caught.value)


def test_a_stored_fault_is_got_round_with_the_next_key() -> None:
    with scripted(stored_fault, made("cus_2")) as server:
        client = connect("sk_test_stored", server.url)
        assert sessions.create_customer(client, "notes", "ann", 0) == "cus_2"
    keys = [line for request in server.requests for line in request.split(b"\r\n") if b"Idempotency-Key" in line]
    assert [key.endswith(b":2") for key in keys] == [False, True]


def test_a_fault_stored_under_every_key_is_transient() -> None:
    with scripted(stored_fault, stored_fault, stored_fault) as server, pytest.raises(Transient) as caught:
        create_once("key", lambda options: connect("sk_test_all", server.url).v1.customers.create({}, options))
    assert caught.value.code == "stripe_unavailable"
    assert "example.com" not in str(caught.value)


def test_derived_keys_differ_wherever_a_part_does() -> None:
    key = derived_key("checkout:notes", "seed", {"a": 1, "b": 2})
    assert key == derived_key("checkout:notes", "seed", {"b": 2, "a": 1})
    assert key != derived_key("checkout:notes", "seed", {"a": 1, "b": 3})
    assert key != derived_key("checkout:notes", "other", {"a": 1, "b": 2})
    assert len(key) <= 255


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(KeyError), our_errors():
        raise KeyError("ours")
