"""The key pair of a fake service, and what it signs. Needs the extra `billing-client[tokens]`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from billing_client.tokens import TYPE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ISSUER = "billing-fake"
KEY_ID = "fake"


def key_set() -> dict[str, Any]:
    """The public half, as /.well-known/jwks.json shows it."""
    point = _key().public_key().public_numbers()
    place = {"x": _encoded(point.x.to_bytes(32)), "y": _encoded(point.y.to_bytes(32))}
    return {
        "issuer": ISSUER,
        "keys": [{"kty": "EC", "crv": "P-256", **place, "alg": "ES256", "use": "sig", "kid": KEY_ID}],
    }


def sign(claims: Mapping[str, Any]) -> str:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA  # noqa: PLC0415  an optional dependency
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature  # noqa: PLC0415  likewise
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415  likewise

    header = {"alg": "ES256", "kid": KEY_ID, "typ": TYPE}
    signed = ".".join(_encoded(json.dumps(each).encode()) for each in (header, claims))
    r, s = decode_dss_signature(_key().sign(signed.encode(), ECDSA(SHA256())))
    return f"{signed}.{_encoded(r.to_bytes(32) + s.to_bytes(32))}"


@cache
def _key() -> EllipticCurvePrivateKey:
    """One for this process, made when first needed: a fake without tokens needs no cryptography."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key  # noqa: PLC0415  likewise

    return generate_private_key(SECP256R1())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
