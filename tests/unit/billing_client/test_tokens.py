"""Tokens, verified offline; and nothing else that looks like one."""

import base64
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from billing_client import BadToken, BillingClient, Unavailable
from billing_client.asking import Reply
from billing_client.keyring import JWKS, Keyring
from billing_client.moments import Clock
from billing_client.testing import FakeBilling
from billing_client.tokens import TYPE, verify
from tests.unit.billing_client.desk import Desk

KEYS = ("GET", JWKS)
NOW = 1_800_000_000

key = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"})


def claims(**changes: object) -> dict[str, Any]:
    held = {"export": {"value": True}, "seats": {"value": 6, "valid_to": "2027-01-15T08:05:00Z"}}
    base = {"iss": "billing-prod", "aud": "notes", "sub": "ada", "iat": NOW, "exp": NOW + 300, "version": 4}
    merged = {**base, "entitlements": held, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def signed(content: dict[str, Any], by: ECKey = key, **header: object) -> str:
    return jwt.encode({"alg": "ES256", "kid": "k1", "typ": TYPE, **header}, content, by, algorithms=["ES256"])


def keyring(now: Callable[[], float] = lambda: float(NOW)) -> Keyring:
    ring = Keyring(Clock(now, now))
    shown = {"issuer": "billing-prod", "keys": [key.as_dict(private=False)]}
    ring.learn(Reply(200, {}, json.dumps(shown).encode()))
    return ring


def proven(token: str, now: float = NOW) -> Any:
    return verify(token, keyring().key("k1"), issuer="billing-prod", audience="notes", now=now)


def test_a_token_proves_what_the_service_signed() -> None:
    found = proven(signed(claims(stale=True)))

    assert (found.user_id, found.project_id, found.version, found.stale) == ("ada", "notes", 4, True)
    assert (found.allows("export"), found.value("seats"), found.allows("theme"), found.value("theme")) == (
        True,
        6,
        False,
        None,
    )
    assert found.held["seats"].valid_to == found.issued_at + timedelta(seconds=300) == found.expires_at


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "billing-staging"},
        {"aud": "board"},
        {"aud": ["board"]},
        {"exp": NOW},
        {"iat": NOW + 61},
        {"sub": 7},
        {"exp": "never"},
        {"version": "four"},
        {"entitlements": ["export"]},
        {"entitlements": {"export": True}},
        *({name: None} for name in ("iss", "aud", "sub", "iat", "exp", "version", "entitlements")),
    ],
    ids=str,
)
def test_a_token_with_other_claims_proves_nothing(changes: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        proven(signed(claims(**changes)))


def test_a_clock_a_minute_behind_the_services_takes_its_tokens() -> None:
    assert proven(signed(claims(iat=NOW + 59)))


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def half(algorithm: str) -> str:
    """Header and claims, without a signature."""
    header = {"alg": algorithm, "kid": "k1", "typ": TYPE}
    return ".".join(encoded(json.dumps(each).encode()) for each in (header, claims()))


def with_a_shared_secret() -> str:
    """The old trick: the public key's text as the secret."""
    mac = hmac.digest(key.as_pem(private=False), half("HS256").encode(), "sha256")
    return f"{half('HS256')}.{encoded(mac)}"


def tampered() -> str:
    head, _, signature = signed(claims()).split(".")
    return f"{head}.{encoded(json.dumps(claims(sub='eve')).encode())}.{signature}"


def jwt_of(payload: bytes) -> str:
    """Rightly signed, whatever it says."""
    header = {"alg": "ES256", "kid": "k1", "typ": TYPE}
    return jws.serialize_compact(header, payload, key, algorithms=["ES256"])


FORGED = {
    "unsigned": half("none") + ".",
    "with the public key as a secret": with_a_shared_secret(),
    "tampered": tampered(),
    "by another key of the same name": signed(claims(), ECKey.generate_key("P-256")),
    "of another type": signed(claims(), typ="JWT"),
    "with half a signature": signed(claims())[:-43],
    "with what must be understood": signed(claims(), crit=["b64"], b64=True),
    "of a form no token has": signed(claims()) + ".",
    "with letters no base64 has": signed(claims()) + "!!!!",
    "with spaces": signed(claims()).replace(".", ". ", 1),
    "without claims": jwt_of(b"[]"),
    "nested": jwt_of(b"[" * 9_000),
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_a_forged_token_proves_nothing(token: str) -> None:
    with pytest.raises(BadToken):
        proven(token)


@given(st.text() | st.builds(".".join, st.lists(st.text("eyJ-_=+/ {}09", max_size=40), min_size=3, max_size=3)))
def test_whatever_is_brought_is_refused_as_no_token(token: str) -> None:
    with pytest.raises(BadToken):
        proven(token)


@given(st.integers(0, len(signed(claims())) - 3), st.sampled_from("Aa0-_"))
def test_a_token_with_one_character_changed_proves_nothing(place: int, other: str) -> None:
    token = signed(claims())
    changed = token[:place] + other + token[place + 1 :]
    assume(changed != token)

    with pytest.raises(BadToken):
        proven(changed)


NO_TOKENS = {
    "empty": "",
    "words": "a b",
    "dots": "..",
    "long": "a" * 20_000,
    "not ASCII": "ü.ü.ü",
    "no kid": "e30.e30.e30",
}


@pytest.mark.parametrize("token", NO_TOKENS.values(), ids=NO_TOKENS)
def test_what_has_not_the_form_of_a_token_is_refused_without_a_request(desk: Desk, token: str) -> None:
    with pytest.raises(BadToken):
        desk.client().verify(token)

    assert desk.fake.requests == ()


def test_a_token_goes_from_the_service_to_who_verifies_it(desk: Desk) -> None:
    desk.fake.grant("ada", "seats", 5)
    client = desk.client()

    found = client.verify(client.token("ada").token)

    assert (found.user_id, found.value("seats"), found.allows("export")) == ("ada", 5, False)


def test_a_token_is_verified_till_it_ends_with_its_windows_and_not_a_second_longer(desk: Desk) -> None:
    desk.fake.grant("ada", "export", until=desk.fake.now + timedelta(seconds=90))
    client = desk.client()
    token = client.token("ada")
    client.verify(token.token)
    left = (token.expires_at - desk.fake.now).total_seconds()
    assert left <= 90

    desk.fake.advance(left - 0.002)
    client.verify(token.token)
    desk.fake.advance(0.003)
    with pytest.raises(BadToken):
        client.verify(token.token)


def test_the_keys_are_fetched_once_for_many_tokens(desk: Desk) -> None:
    client = desk.client()
    for number in range(5):
        client.verify(client.token(f"user-{number}").token)

    assert desk.fake.requests.count(KEYS) == 1


def test_the_keys_are_fetched_again_after_five_minutes(desk: Desk) -> None:
    client = desk.client()
    client.verify(client.token("ada").token)
    desk.fake.advance(299)
    client.verify(client.token("bob").token)
    assert desk.fake.requests.count(KEYS) == 1

    desk.fake.advance(1)
    client.verify(client.token("eve").token)
    assert desk.fake.requests.count(KEYS) == 2


def test_invented_keys_do_not_make_it_ask_more_than_once_in_ten_seconds(desk: Desk) -> None:
    client = desk.client()
    for number in range(30):
        with pytest.raises(BadToken):
            client.verify(signed(claims(), kid=f"invented-{number}"))
        desk.fake.advance(1)

    assert desk.fake.requests.count(KEYS) == 3


def test_known_keys_serve_on_while_the_service_is_down(desk: Desk) -> None:
    client = desk.client()
    client.verify(client.token("ada").token)
    desk.fake.advance(400)
    token = client.token("ada").token

    with desk.fake.down():
        assert client.verify(token).user_id == "ada"


def test_without_any_key_there_is_no_verdict(desk: Desk) -> None:
    client = desk.client()
    token = client.token("ada").token

    with desk.fake.down(), pytest.raises(Unavailable):
        client.verify(token)


def test_keys_are_trusted_for_a_day_at_most_without_a_word_from_the_service() -> None:
    clock = {"now": 0.0}
    ring = keyring(lambda: clock["now"])

    clock["now"] = 86_399.0
    assert ring.usable
    clock["now"] = 86_400.0
    assert not ring.usable


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"issuer": "i"},
        {"issuer": "i", "keys": []},
        {"issuer": "i", "keys": [{}]},
        {"issuer": "i", "keys": [{"alg": "EdDSA"}]},
    ],
)
def test_a_key_set_without_keys_is_no_answer(shown: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        Keyring(Clock()).learn(Reply(200, {}, json.dumps(shown).encode()))


def test_whose_tokens_are_meant_must_be_said() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(500))
    client = BillingClient("https://billing.test", "bk_test_x", transport=transport)
    with client, pytest.raises(ValueError, match="project_id"):
        client.verify(signed(claims()))


def test_another_projects_fake_token_proves_nothing() -> None:
    board = FakeBilling(project_id="board")
    with board.client() as theirs, FakeBilling().client() as ours, pytest.raises(BadToken):
        ours.verify(theirs.token("ada").token)
