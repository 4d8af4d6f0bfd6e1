"""What either client asks, what it makes of the answers, and what it says when nobody answers.

No I/O: questions are conversations (`asking`), driven by the sync or the async client.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from billing_client import asking, tokens
from billing_client.answers import (
    Check,
    Checkout,
    Document,
    Entitlements,
    Synced,
    Token,
    check_of,
    checkout_of,
    entitlements_of,
    synced_of,
    token_of,
)
from billing_client.asking import Ask, Conversation, Means, Reply, get, post, segment
from billing_client.breaker import Breaker
from billing_client.errors import Refused, Unavailable
from billing_client.keyring import JWKS, Keyring
from billing_client.moments import Clock
from billing_client.options import Options
from billing_client.policies import Closed, LastKnown, Open, Raise
from billing_client.recall import Recall
from billing_client.tokens import Claims, Verified

LIST = "/api/v1/entitlements"
CHECK = "/api/v1/entitlements/check"
EXPLAIN = "/api/v1/entitlements/explain"
TOKEN = "/api/v1/entitlements/token"  # noqa: S105  a path
CHECKOUT = "/api/v1/checkout"
PORTAL = "/api/v1/portal"
CATALOG = "/api/v1/catalog"

BATCH = 100
"""Checks the service takes in one request."""

UNAVAILABLE = "unavailable"
"""The reason of an answer that nobody gave."""

Pair = tuple[str, str]


class Core:
    """`project_id`: whose tokens `verify` takes."""

    def __init__(self, options: Options, clock: Clock, project_id: str | None) -> None:
        self.recall = Recall(options, clock)
        self._options = options
        self._clock = clock
        self._breaker = Breaker()
        self._means = Means(clock.monotonic, random.random)
        self._keyring = Keyring(clock)
        self._verified = Verified()
        self._project_id = project_id

    def check(self, user_id: str, feature: str) -> Conversation[Check]:
        try:
            return (yield from self._asked_check(user_id, feature))
        except Unavailable as fault:
            return self._without(user_id, feature, fault)

    def refresh_check(self, user_id: str, feature: str) -> Conversation[None]:
        try:
            yield from self._asked_check(user_id, feature)
        finally:
            self.recall.release(user_id, feature)

    def check_many(self, pairs: Sequence[Pair]) -> Conversation[list[Check]]:
        """In their order. What is remembered and fresh is not asked; what is not, a hundred in a request."""
        found: dict[Pair, Check] = {}
        for user_id, feature in dict.fromkeys(pairs):
            remembered = self.recall.check(user_id, feature)
            if remembered is not None and remembered.again:
                self.recall.release(user_id, feature)  # asked now, with the others
            elif remembered is not None:
                found[user_id, feature] = remembered.answer
        missing = [pair for pair in dict.fromkeys(pairs) if pair not in found]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            try:
                found.update((yield from self._asked_checks(part)))
            except Unavailable as fault:
                found.update({pair: self._without(*pair, fault) for pair in part})
        return [found[pair] for pair in pairs]

    def entitlements(self, user_id: str) -> Conversation[Entitlements]:
        try:
            return (yield from self._asked_list(user_id))
        except Unavailable:
            last = self.recall.last_known(user_id, None, self._options.lists)
            if not isinstance(last, Entitlements):
                raise
            return last

    def refresh_entitlements(self, user_id: str) -> Conversation[None]:
        try:
            yield from self._asked_list(user_id)
        finally:
            self.recall.release(user_id, None)

    def explain(self, user_id: str, feature: str, at: str | None) -> Conversation[Document]:
        question = get(EXPLAIN, {"user_id": user_id, "feature": feature, "at": at})
        return asking.document((yield from self._read(question)))

    def catalog(self) -> Conversation[Document]:
        return asking.document((yield from self._read(get(CATALOG))))

    def token(self, user_id: str) -> Conversation[Token]:
        return asking.read((yield from self._read(post(TOKEN, {"user_id": user_id}))), token_of)

    def verify(self, token: str) -> Conversation[Claims]:
        """Raises BadToken; Unavailable only while no key is known; ValueError without a project to verify for."""
        found = self._verified.find(token, self._clock.now())
        if found is not None:
            return found
        if self._project_id is None:
            raise ValueError("whose tokens? Make the client with project_id=…, or others' tokens would pass as yours")
        kid = tokens.key_id(token)
        if self._keyring.wants(kid):
            yield from self._fetch_keys()
        if not self._keyring.usable:
            raise Unavailable("no_keys", "The service's public keys are not known yet: it did not answer.")
        key, now = self._keyring.key(kid), self._clock.now()
        claims = tokens.verify(token, key, issuer=self._keyring.issuer, audience=self._project_id, now=now.wall)
        self._verified.keep(token, claims, now)
        return claims

    def open_checkout(self, body: Document, key: str | None) -> Conversation[Checkout]:
        question = post(CHECKOUT, body, key=key or asking.new_key())
        return asking.read((yield from self._write(question)), checkout_of)

    def sync_checkout(self, session_id: str, user_id: str | None) -> Conversation[Synced]:
        question = post(f"{CHECKOUT}/{segment(session_id)}/sync")
        synced = asking.read((yield from self._write(question)), synced_of)
        if user_id is None:
            self.recall.doubt_noes()
        else:
            self.recall.raise_floor(user_id, synced.entitlements_version)
        return synced

    def open_portal(self, user_id: str, return_url: str, key: str | None) -> Conversation[str]:
        question = post(PORTAL, {"user_id": user_id, "return_url": return_url}, key=key or asking.new_key())
        return asking.read((yield from self._write(question)), lambda found: str(found["url"]))

    def _write(self, question: Ask) -> Conversation[Reply]:
        return asking.ask(question, self._options.writes, self._means)

    def _read(self, question: Ask) -> Conversation[Reply]:
        if not self._breaker.tries(self._clock.monotonic()):
            raise Unavailable("resting", "The billing service failed a moment ago and is asked again within a second.")
        try:
            reply = yield from asking.ask(question, self._options.reads, self._means)
        except Refused:
            self._breaker.answered()
            raise
        except Unavailable as fault:
            if fault.status != 429:  # it is up, and says so
                self._breaker.failed(self._clock.monotonic())
            raise
        self._breaker.answered()
        return reply

    def _asked_check(self, user_id: str, feature: str) -> Conversation[Check]:
        sent = self._clock.now()
        reply = yield from self._read(get(CHECK, {"user_id": user_id, "feature": feature}))
        (answer,) = asking.read(reply, lambda found: _in_order([(user_id, feature)], [check_of(found)])).values()
        self.recall.learn_check(answer, sent, asking.served(reply))
        return answer

    def _asked_checks(self, pairs: Sequence[Pair]) -> Conversation[dict[Pair, Check]]:
        body = {"checks": [{"user_id": user_id, "feature": feature} for user_id, feature in pairs]}
        sent = self._clock.now()
        reply = yield from self._read(post(CHECK, body))
        answers = asking.read(reply, lambda found: _in_order(pairs, [check_of(each) for each in found["results"]]))
        for answer in answers.values():
            self.recall.learn_check(answer, sent, asking.served(reply))
        return answers

    def _asked_list(self, user_id: str) -> Conversation[Entitlements]:
        kept = self.recall.tagged(user_id)
        tag = {} if kept is None or kept.etag is None else {"if-none-match": kept.etag}
        sent = self._clock.now()
        reply = yield from self._read(get(LIST, {"user_id": user_id}, tag))
        if reply.status == 304 and kept is not None:
            self.recall.renew_list(kept, sent)
            return replace(kept.answer, source="service")
        answer = asking.read(reply, entitlements_of)
        self.recall.learn_list(answer, sent, asking.served(reply), reply.headers.get("etag"))
        return answer

    def _fetch_keys(self) -> Conversation[None]:
        """Raises Unavailable where no older keys can serve meanwhile."""
        try:
            self._keyring.learn((yield from self._read(get(JWKS))))
        except Unavailable:
            if not self._keyring.usable:
                raise

    def _without(self, user_id: str, feature: str, fault: Unavailable) -> Check:
        """By the feature's policy. Raises Unavailable where that says so."""
        policy = self._options.policy(feature)
        last = self.recall.last_known(user_id, feature, policy)
        if isinstance(last, Check):
            return last
        match policy.otherwise if isinstance(policy, LastKnown) else policy:
            case Raise():
                raise fault
            case Closed():
                return _guess(user_id, feature, allowed=False, value=None)
            case Open(value):
                return _guess(user_id, feature, allowed=True, value=value)


def _in_order(pairs: Sequence[Pair], answers: Sequence[Check]) -> dict[Pair, Check]:
    """Raises ValueError: they are answers to something else."""
    found = dict(zip(pairs, answers, strict=True))
    if any((answer.user_id, answer.feature) != pair for pair, answer in found.items()):
        raise ValueError("answers in another order than the questions")
    return found


def _guess(user_id: str, feature: str, *, allowed: bool, value: Any) -> Check:
    return Check(
        allowed=allowed,
        value=value,
        reason=UNAVAILABLE,
        valid_to=None,
        user_id=user_id,
        feature=feature,
        version=0,
        as_of=None,
        source="policy",
    )
