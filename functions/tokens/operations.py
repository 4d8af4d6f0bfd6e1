"""What a user may do, signed; and the keys it is signed with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from billing.domain.token_keys import State
from billing.http.operations import Operation
from billing.http.schemas import Body, Instant, Reason, UserId


class TokenBody(Body):
    user_id: UserId


class TokenAnswer(BaseModel):
    """A JWT: docs/tokens.md has its claims."""

    token: str
    expires_at: Instant


class Jwk(BaseModel):
    """A public key (RFC 7517)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    alg: Literal["ES256"]
    use: Literal["sig"]
    kid: str


class KeySet(BaseModel):
    """The keys to verify with. `issuer` is the `iss` of what they sign."""

    issuer: str
    keys: list[Jwk]


class SigningKeyAnswer(BaseModel):
    """`next`: published, and to sign from `signs_from` on. `previous`: published until its last tokens have ended."""

    kid: str
    state: State
    created_at: Instant
    signs_from: Instant


class SigningKeys(BaseModel):
    """Oldest first; none before the first rotation."""

    keys: list[SigningKeyAnswer]


class SigningRotation(Body):
    """`at_once`: for a private key that others may know. All other keys are withdrawn, and their tokens verify no more
    once verifiers have fetched the keys again.
    """

    at_once: bool = False
    reason: Reason | None = None


ISSUE = Operation(
    "POST",
    "/api/v1/entitlements/token",
    "issueToken",
    "All that a user may do, signed, for whoever cannot or need not ask",
    TokenAnswer,
    body=TokenBody,
    problems=("signing_key_unset",),
    opens="project",
)
KEY_SET = Operation(
    "GET",
    "/.well-known/jwks.json",
    "readKeySet",
    "The public keys that tokens are verified with",
    KeySet,
    opens="nobody",
    etag=True,
)
SHOW = Operation(
    "GET",
    "/api/v1/admin/signing-keys",
    "listSigningKeys",
    "The keys that sign tokens, and what each is for now; never their private halves",
    SigningKeys,
)
ROTATE = Operation(
    "POST",
    "/api/v1/admin/signing-keys/rotate",
    "rotateSigningKey",
    "Make another key: it is published now, and signs once every verifier knows it",
    SigningKeys,
    body=SigningRotation,
    problems=("signing_key_rotating",),
    writes=True,
)
OPERATIONS = (ISSUE, KEY_SET, SHOW, ROTATE)
