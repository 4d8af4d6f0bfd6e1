"""Our verifier and the Stripe SDK's agree on what is valid; where they differ, ours is the stricter, and on purpose."""

import hashlib
import hmac
import time
from datetime import UTC, datetime

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.payments.signature import TOLERANCE, BadSignature, verify

SECRET = "whsec_contract"


def header_of(body: bytes, at: int) -> str:
    return f"t={at},v1={hmac.new(SECRET.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def ours(body: bytes, header: str, now: int) -> bool:
    try:
        verify(body, header, (SECRET,), datetime.fromtimestamp(now, UTC))
    except BadSignature:
        return False
    return True


def theirs(body: str, header: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, SECRET, TOLERANCE)
    except stripe.SignatureVerificationError:
        return False
    return True


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=100), spoilt=st.booleans(), more=st.booleans())
def test_the_two_agree_on_signatures_of_now(text: str, spoilt: bool, more: bool) -> None:
    now = int(time.time())
    header = header_of(text.encode(), now)
    if spoilt:
        header = header[:-1] + ("0" if header[-1] != "0" else "1")
    if more:
        header = f"t={now},v1={'0' * 64},{header.partition(',')[2]},v0=abc"
    assert ours(text.encode(), header, now) == theirs(text, header) == (not spoilt)


def test_the_sdks_own_signatures_pass() -> None:
    payload = '{"id":"evt_1","object":"event"}'
    now = int(time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{now}.{payload}", SECRET)
    assert ours(payload.encode(), f"t={now},v1={signature}", now)


def test_both_refuse_an_old_signature() -> None:
    now = int(time.time())
    header = header_of(b"{}", now - TOLERANCE - 10)
    assert not ours(b"{}", header, now)
    assert not theirs("{}", header)


def test_the_sdk_takes_a_signature_from_the_future_and_we_do_not() -> None:
    now = int(time.time())
    header = header_of(b"{}", now + 86_400)
    assert theirs("{}", header)
    assert not ours(b"{}", header, now)


def test_the_sdk_breaks_on_a_header_that_is_not_ascii_and_we_refuse_it() -> None:
    now = int(time.time())
    header = f"t={now},v1=é"
    with pytest.raises(TypeError):
        theirs("{}", header)
    assert not ours(b"{}", header, now)


def test_the_sdk_breaks_on_a_body_that_is_not_utf8_and_we_verify_it() -> None:
    now = int(time.time())
    body = b"\xff"
    with pytest.raises(UnicodeDecodeError):
        stripe.Webhook.construct_event(body, header_of(body, now), SECRET)
    assert ours(body, header_of(body, now), now)
