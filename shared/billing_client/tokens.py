"""Signed entitlement tokens, verified without asking anybody (docs/tokens.md).

Needs the extra `billing-client[tokens]`.
"""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from billing_client.answers import instant
from billing_client.errors import BadToken
from billing_client.moments import Moment

if TYPE_CHECKING:
    from billing_client.es256 import PublicKey

TYPE = "entitlements+jwt"
"""So that no other token signed by the same keys passes for one of these."""

LONGEST = 16_384
"""Characters of a token that is looked at at all; a header larger than that, no server would have let pass."""

AHEAD = 60
"""Seconds that the local clock may be behind the service's: `iat` may lie so far ahead. `exp` has no leeway: a token
never grants past a window's end."""

REMEMBERED = 1_000
"""Verified tokens, so that one that comes with each request is verified once."""


@dataclass(frozen=True, slots=True)
class Granted:
    """`valid_to`: when it ends, as far as is known; the token ends no later."""

    value: Any
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a user may do, as signed at `issued_at`; to be used until `expires_at` and not kept beyond.

    `stale`: the service itself could not ask its store, and this was the last it knew.
    """

    user_id: str
    project_id: str
    version: int
    issued_at: datetime
    expires_at: datetime
    held: Mapping[str, Granted] = field(default_factory=dict)
    stale: bool = False

    def allows(self, feature: str) -> bool:
        return feature in self.held

    def value(self, feature: str) -> Any:
        """None where it is not held."""
        found = self.held.get(feature)
        return None if found is None else found.value


class Verified:
    """Claims of tokens that were verified, till they end; bounded, the oldest going first."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._claims: OrderedDict[str, tuple[Claims, Moment]] = OrderedDict()

    def find(self, token: str, now: Moment) -> Claims | None:
        found = self._claims.get(token)
        return None if found is None or found[1].reached(now) else found[0]

    def keep(self, token: str, claims: Claims, now: Moment) -> None:
        self._claims[token] = claims, now.later(claims.expires_at.timestamp() - now.wall)
        while len(self._claims) > self._limit:
            self._claims.popitem(last=False)


def key_id(token: str) -> str:
    """Whose signature it claims to bear. Raises BadToken: it has not the form of a token."""
    if len(token) > LONGEST:
        raise BadToken("bad_token", f"It is longer than {LONGEST} characters.")
    try:
        head = token.partition(".")[0].encode("ascii")
        header = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (ValueError, RecursionError) as error:
        raise BadToken("bad_token", "It has not the form of a token.") from error
    kid = header.get("kid") if isinstance(header, dict) else None
    if not isinstance(kid, str):
        raise BadToken("bad_token", "It does not name the key it is signed with.")
    return kid


def verify(token: str, key: PublicKey, *, issuer: str, audience: str, now: float) -> Claims:
    """Raises BadToken. `now`: seconds since 1970, UTC."""
    from billing_client.es256 import opened  # noqa: PLC0415  brings cryptography, an optional dependency

    claims = opened(token, key, TYPE)
    if (fault := _fault(claims, issuer, audience, now)) is not None:
        raise BadToken("bad_token", f"It proves nothing here: {fault}.")
    try:
        return _claims(claims)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadToken("bad_token", "Its claims are not those of an entitlement token.") from error


def _fault(claims: Mapping[str, Any], issuer: str, audience: str, now: float) -> str | None:
    """Of what a token has to say about itself."""
    issued, ends = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or not isinstance(ends, int):
        return "it does not say from when to when it holds"
    if now >= ends:
        return "it has ended"
    if issued > now + AHEAD:
        return "it is not valid yet; is this machine's clock right?"
    if claims.get("iss") != issuer:
        return "another deployment issued it"
    if claims.get("aud") != audience:
        return "it is another project's"
    return None if isinstance(claims.get("sub"), str) else "it does not say whose it is"


def _claims(claims: Mapping[str, Any]) -> Claims:
    return Claims(
        user_id=claims["sub"],
        project_id=claims["aud"],
        version=int(claims["version"]),
        issued_at=datetime.fromtimestamp(claims["iat"], UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        held={
            feature: Granted(each["value"], instant(each.get("valid_to")))
            for feature, each in claims["entitlements"].items()
        },
        stale=claims.get("stale") is True,
    )
