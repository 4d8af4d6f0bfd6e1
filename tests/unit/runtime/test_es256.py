"""Our signatures as a JOSE library nobody here wrote sees them."""

import json
import secrets
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from billing.runtime.es256 import generate, public_jwk, sign_jwt

PRIVATE = generate()
CLAIMS = {"sub": "ann ü \ud800", "exp": 1, "entitlements": {"export": {"value": True}}}


def pem(key: Any, encryption: serialization.KeySerializationEncryption) -> str:
    text: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return text.decode()


PLAIN = serialization.NoEncryption()
UNFIT = {
    "no PEM": "canary",
    "empty": "",
    "another curve": pem(ec.generate_private_key(ec.SECP384R1()), PLAIN),
    "another kind": pem(ed25519.Ed25519PrivateKey.generate(), PLAIN),
    "encrypted": pem(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"x")),
}


def test_a_library_verifies_what_is_signed_here_with_the_public_key_alone() -> None:
    keys = KeySet.import_key_set({"keys": [public_jwk(PRIVATE)]})  # type: ignore[list-item]  # a JWK is a dict there too
    kid = public_jwk(PRIVATE)["kid"]
    token = jwt.decode(sign_jwt(PRIVATE, {"kid": kid, "typ": "entitlements+jwt"}, CLAIMS), keys, algorithms=["ES256"])
    assert token.claims == CLAIMS
    assert token.header == {"alg": "ES256", "kid": kid, "typ": "entitlements+jwt"}


def test_each_of_many_keys_has_coordinates_and_signatures_of_full_length() -> None:
    """One in 128 has a half that begins with a zero byte."""
    for _ in range(300):
        private = generate()
        public = ECKey.import_key(public_jwk(private))  # type: ignore[arg-type]  # as above
        token = sign_jwt(private, {}, {"n": secrets.token_hex(4)})
        assert len(token.rpartition(".")[2]) == 86
        jwt.decode(token, public, algorithms=["ES256"])


def test_the_kid_is_the_thumbprint_that_a_library_works_out() -> None:
    jwk = public_jwk(PRIVATE)
    assert jwk["kid"] == ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")}).thumbprint()


def test_the_public_key_has_nothing_private() -> None:
    assert set(public_jwk(PRIVATE)) == {"kty", "crv", "x", "y", "alg", "use", "kid"}


def test_the_same_claims_are_signed_the_same_so_that_copied_random_numbers_do_no_harm() -> None:
    assert sign_jwt(PRIVATE, {}, CLAIMS) == sign_jwt(PRIVATE, {}, CLAIMS)


@pytest.mark.parametrize("private", UNFIT.values(), ids=UNFIT)
def test_what_is_no_such_key_is_refused_without_quoting_it(private: str) -> None:
    with pytest.raises(ValueError, match="PEM of an unencrypted P-256 private key") as told:
        sign_jwt(private, {}, {})
    assert told.value.__suppress_context__ or told.value.__context__ is None
    assert "canary" not in json.dumps(str(told.value))
