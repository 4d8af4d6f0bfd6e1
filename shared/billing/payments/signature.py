"""Stripe's webhook signatures, verified on the raw bytes (https://docs.stripe.com/webhooks#verify-manually).

Not the SDK's verifier: that one raises TypeError and UnicodeDecodeError for hostile headers and bodies, and takes
timestamps from the future. tests/contract/test_signature_against_sdk.py shows where the two agree and differ.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime

from billing.errors import Refused

TOLERANCE = 300
"""Seconds a signature may be away from now, either way. Stripe signs every retry anew."""

MAX_SIGNATURES = 16
"""`v1` values of a header. Stripe sends one a live secret; more is somebody searching."""

_MAX_TIMESTAMPS = 2
_MAX_HEADER = 8192


class BadSignature(Refused):
    """The only failure: nothing says what was wrong, and the body was not looked at."""

    def __init__(self) -> None:
        super().__init__(
            "invalid_signature", "The Stripe-Signature header does not fit the body, the secret or the time."
        )


def verify(body: bytes, header: str, secrets: Sequence[str], now: datetime) -> None:
    """Pass if any `v1` of `header` is HMAC-SHA256 of `t.body` under any of `secrets`, with `t` within ±300 s of `now`.

    Headers sent twice and joined by a comma are read as one. Raises BadSignature, and nothing else.
    """
    timestamps, signatures = _parse(header)
    present = int(now.timestamp())
    expected = [
        hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex().encode()
        for timestamp in timestamps
        if abs(present - int(timestamp)) <= TOLERANCE
        for secret in secrets
        if secret
    ]
    matches = [hmac.compare_digest(theirs, ours) for theirs in signatures for ours in expected]
    if not any(matches):
        raise BadSignature


def _parse(header: str) -> tuple[list[str], list[bytes]]:
    """The header's distinct timestamps and its `v1` values."""
    if len(header) > _MAX_HEADER or not header.isascii():
        raise BadSignature
    timestamps: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and value not in timestamps:
            timestamps.append(value)
        elif name == "v1":
            signatures.append(value.encode())
    plausible = all(value.isdigit() and len(value) <= 12 for value in timestamps)
    if not plausible or not 1 <= len(timestamps) <= _MAX_TIMESTAMPS or len(signatures) > MAX_SIGNATURES:
        raise BadSignature
    return timestamps, signatures
