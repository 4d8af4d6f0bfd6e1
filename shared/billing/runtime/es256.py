"""ES256 (RFC 7518 §3.4) by `cryptography`: key pairs, their public JWK, and signed JWTs. Nothing here verifies.

A JOSE library would bring four times the import for two base64 strings and a signature (ADR 48).
"""

from __future__ import annotations

import functools
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

_SIDE = 32
"""Bytes of a coordinate, and of either half of a signature."""

# the nonce comes from key and message (RFC 6979): copies of one restored process share their random numbers
_ALGORITHM = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def generate() -> str:
    """A new private key, as a PEM of PKCS #8."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_jwk(private: str) -> dict[str, str]:
    """The public half as a JWK (RFC 7517), with `kid`."""
    numbers = _load(private).public_key().public_numbers()
    members = {"crv": "P-256", "kty": "EC", "x": _base64(_bytes(numbers.x)), "y": _base64(_bytes(numbers.y))}
    return {**members, "alg": "ES256", "use": "sig", "kid": _thumbprint(members)}


def sign_jwt(private: str, header: Mapping[str, str], claims: Mapping[str, Any]) -> str:
    """The token in its compact form; `alg` is added to the header. Raises ValueError where the PEM is no such key."""
    signed = f"{_json({'alg': 'ES256', **header})}.{_json(claims)}"
    r, s = decode_dss_signature(_load(private).sign(signed.encode("ascii"), _ALGORITHM))
    return f"{signed}.{_base64(_bytes(r) + _bytes(s))}"


@functools.lru_cache(maxsize=4)
def _load(private: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(private.encode(), None)
    except (TypeError, ValueError):
        raise _no_key() from None  # the cause may quote the text
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise _no_key()


def _no_key() -> ValueError:
    return ValueError("a signing key is the PEM of an unencrypted P-256 private key")


def _thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638: of the required members, in the order of their names."""
    return _base64(hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest())


def _json(document: Mapping[str, Any]) -> str:
    return _base64(json.dumps(document, separators=(",", ":")).encode("ascii"))


def _bytes(number: int) -> bytes:
    return number.to_bytes(_SIDE, "big")


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
