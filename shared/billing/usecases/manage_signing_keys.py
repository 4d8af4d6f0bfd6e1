"""The keys that sign entitlement tokens: read from Secrets Manager, published, and replaced without a gap."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from billing.domain.token_keys import SigningKey, keys_of, published, rotated, signing, stored
from billing.domain.windows import rfc3339
from billing.errors import Refused, Transient
from billing.runtime.aws import AwsError
from billing.runtime.es256 import generate, public_jwk
from billing.runtime.secrets import Secret
from billing.runtime.settings import BadSettings


def read_keys(secret: Secret) -> tuple[SigningKey, ...]:
    """As stored, at most a minute old. Raises Transient, BadSettings."""
    try:
        return _parsed(secret, secret.read())
    except AwsError as fault:
        raise _unreadable(fault) from fault


def signer(secret: Secret, now: datetime) -> SigningKey:
    """The key that signs at `now`. Raises Refused (`signing_key_unset`), Transient, BadSettings."""
    found = signing(read_keys(secret), now)
    if found is None:
        raise Refused("signing_key_unset", "No token can be signed yet: an operator runs `billing signing-key rotate`.")
    return found


def key_set(secret: Secret, issuer: str, now: datetime) -> str:
    """The JWK Set (RFC 7517 §5) to publish at `now`, as JSON; empty before the first key. Raises Transient."""
    jwks = [public_jwk(key.private) for key in published(read_keys(secret), now)]
    return json.dumps({"issuer": issuer, "keys": jwks}, separators=(",", ":"))


def rotate(secret: Secret, now: datetime, *, at_once: bool) -> tuple[SigningKey, ...]:
    """Another key, that signs once verifiers know it; the first one, or any `at_once`, signs within a minute.

    Two operators at once: the key of the later one stays, and the other's never signs, but for a minute where it was to
    sign at once. Raises Refused (`signing_key_rotating`), Transient, BadSettings.
    """
    private = generate()
    try:
        before = _parsed(secret, secret.latest())
        after = rotated(before, public_jwk(private)["kid"], private, now, at_once=at_once)
        if after is None:
            begins = rfc3339(before[-1].signs_from)
            raise Refused("signing_key_rotating", f"A new key signs from {begins} on. Then rotate again, if you must.")
        secret.replace(stored(after))
    except AwsError as fault:
        raise _unreadable(fault) from fault
    return after


def _parsed(secret: Secret, value: Mapping[str, object]) -> tuple[SigningKey, ...]:
    keys = keys_of(value)
    if keys is None:
        raise BadSettings(f'the secret {secret.secret_id} must be {{"keys": […]}}: docs/tokens.md, Keys')
    return keys


def _unreadable(fault: AwsError) -> Transient:
    return Transient("unavailable", f"The signing keys cannot be reached now ({fault.code}). Try again.")
