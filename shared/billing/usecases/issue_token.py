"""A signed token of what a user may do now: a check of everything, made to be shown elsewhere (docs/tokens.md)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from billing.domain.token_keys import SigningKey
from billing.domain.tokens import claims_of
from billing.domain.windows import from_seconds
from billing.runtime.es256 import sign_jwt
from billing.usecases.answer_check import Question, Reading, Road, answer

TYPE = "entitlements+jwt"
"""Of the header, so that no other kind of token is taken for one of these (RFC 8725 §3.11)."""


class Issued(NamedTuple):
    """`expires_at` is the token's `exp`; the rest is for the log."""

    token: str
    expires_at: datetime
    road: Road
    project_id: str
    key_id: str


def issue_token(reading: Reading, api_key: str, user_id: str, signer: SigningKey, issuer: str, now: datetime) -> Issued:
    """A token of the user's entitlements as they are at `now`. Raises as `answer_check.answer` does.

    One from an old answer (`stale`) is signed too, and says so: whoever lives by tokens should fare no worse than
    whoever checks, while PostgreSQL is away. It ends after a minute.
    """
    answered = answer(reading, api_key, Question(user_id), now)
    claims = claims_of(json.loads(answered.body), answered.until, issuer, now)
    token = sign_jwt(signer.private, {"kid": signer.kid, "typ": TYPE}, claims)
    return Issued(token, from_seconds(claims["exp"]), answered.road, answered.project_id, answered.key_id)
