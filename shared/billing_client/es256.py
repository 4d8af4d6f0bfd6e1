"""One form of signed token, verified: a JWT in compact form (RFC 7515), ES256 and nothing else. Needs `cryptography`.

Which algorithm it is decides this file, not the token's header: so no `none`, no shared secret and no key of the
sender's own can ever pass. A library of all of JOSE takes half as long again as the signature itself.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from billing_client.errors import BadToken

PublicKey = EllipticCurvePublicKey

ALGORITHM = "ES256"
HALF = 32
"""Bytes of either number of a signature, and of either coordinate of a key."""

_SCHEME = ECDSA(SHA256())


def public_key(jwk: Mapping[str, Any]) -> PublicKey:
    """Of a JWK (RFC 7517). Raises ValueError: it is not for ES256, or no point of the curve."""
    if (jwk.get("kty"), jwk.get("crv"), jwk.get("alg", ALGORITHM)) != ("EC", "P-256", ALGORITHM):
        raise ValueError(f"no key for {ALGORITHM}")
    x, y = (int.from_bytes(decoded(str(jwk.get(each)))) for each in "xy")
    return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()


def opened(token: str, key: PublicKey, kind: str) -> dict[str, Any]:
    """The claims under a signature that fits. `kind`: the header's `typ`. Raises BadToken."""
    try:
        signed, _, last = token.rpartition(".")
        head, body = signed.split(".")
        signature = decoded(last)
        header = json.loads(decoded(head))
        if not isinstance(header, dict) or header.get("alg") != ALGORITHM or header.get("typ") != kind:
            raise BadToken("bad_token", f"It is not signed with {ALGORITHM}, or is another kind of token than {kind}.")
        if "crit" in header or len(signature) != 2 * HALF:
            raise BadToken("bad_token", "It has what no entitlement token has.")
        r, s = int.from_bytes(signature[:HALF]), int.from_bytes(signature[HALF:])
        key.verify(encode_dss_signature(r, s), signed.encode(), _SCHEME)
        claims = json.loads(decoded(body))
    except InvalidSignature:
        raise BadToken("bad_token", "Its signature does not fit.") from None
    except (ValueError, RecursionError) as error:
        raise BadToken("bad_token", "It has not the form of a token.") from error
    if not isinstance(claims, dict):
        raise BadToken("bad_token", "It has no claims.")
    return claims


def decoded(text: str) -> bytes:
    """Of base64url without padding. Raises ValueError."""
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
