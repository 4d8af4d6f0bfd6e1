"""The service's public keys: kept, fetched again seldom, never as often as a stranger with invented tokens likes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_client import asking
from billing_client.asking import Reply
from billing_client.errors import BadToken, Unavailable
from billing_client.moments import Clock, Moment

if TYPE_CHECKING:
    from billing_client.es256 import PublicKey

JWKS = "/.well-known/jwks.json"

MAX_AGE = 300.0
"""Seconds after which the keys are fetched again: one that was withdrawn is trusted no longer than that."""

OFFLINE = 86_400.0
"""Seconds for which the last known keys serve while the service does not answer."""

UNKNOWN_PAUSE = 10.0
"""Seconds between fetches for keys that are not known."""


class Keyring:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.issuer = ""
        self._keys: dict[str, PublicKey] = {}
        self._fetched: Moment | None = None
        self._tried: Moment | None = None

    def wants(self, kid: str) -> bool:
        """Whether to fetch before looking for this key."""
        now = self._clock.now()
        if self._tried is not None and not self._tried.later(UNKNOWN_PAUSE).reached(now):
            return False
        old = self._fetched is None or self._fetched.later(MAX_AGE).reached(now)
        if not old and kid in self._keys:
            return False
        self._tried = now
        return True

    def learn(self, reply: Reply) -> None:
        """Raises Unavailable: these are no keys."""
        from billing_client.es256 import public_key  # noqa: PLC0415  brings cryptography, an optional dependency

        found = asking.document(reply)
        try:
            issuer = str(found["issuer"])
            keys = {str(each["kid"]): public_key(each) for each in found["keys"] if each["alg"] == "ES256"}
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("unreadable_answer", f"{JWKS} has no keys this package can read.") from error
        if not keys:
            raise Unavailable("unreadable_answer", f"{JWKS} has no key for ES256: is this package new enough?")
        self._keys, self.issuer = keys, issuer
        self._fetched = self._clock.now()

    @property
    def usable(self) -> bool:
        """False: no keys are known, or they are too old to trust."""
        return self._fetched is not None and not self._fetched.later(OFFLINE).reached(self._clock.now())

    def key(self, kid: str) -> PublicKey:
        """Raises BadToken: none of the service's."""
        try:
            return self._keys[kid]
        except KeyError:
            raise BadToken("bad_token", "It is signed with a key that is none of the service's.") from None
