"""The service's answers, as the fake gives them: the shapes and codes of docs/openapi.json."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

import httpx

from billing_client import core, keyring, signer
from billing_client.windows import FOREVER, Given, decide, type_of

Fault = Literal["unreachable", "unavailable", "rate_limited", "internal", "project_suspended"]

STATUSES: Mapping[str, int] = {
    "unavailable": 503,
    "rate_limited": 429,
    "internal": 500,
    "project_suspended": 403,
    "not_found": 404,
    "session_not_found": 404,
    "customer_not_found": 404,
    "price_not_found": 422,
    "idempotency_mismatch": 422,
}

FAKED: Mapping[str, str] = {"code": "faked", "text": "A test said so."}

TOKEN_LIFE = timedelta(minutes=5)

Json = dict[str, Any]

Door = Callable[[httpx.Request], httpx.Response]


@dataclass(slots=True)
class Person:
    """`version` grows with each change, the last of which was at `changed_at`. `customer`: was at a checkout."""

    changed_at: datetime
    version: int = 0
    given: list[Given] = field(default_factory=list)
    customer: bool = False


@dataclass(slots=True)
class Session:
    id: str
    user_id: str
    lookup_key: str
    expires_at: datetime
    paid: bool = False


class Problem(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Pretended:
    def __init__(
        self,
        project_id: str,
        issuer: str,
        features: Mapping[str, str] | None,
        sells: Mapping[str, Mapping[str, Any]],
        now: Callable[[], datetime],
    ) -> None:
        self.project_id = project_id
        self.requests: list[tuple[str, str]] = []
        self.fault: Fault | None = None
        self.faults: deque[Fault] = deque()
        self._issuer = issuer
        self._features = features
        self._sells = sells
        self._now = now
        self._began = now()
        self._people: dict[str, Person] = {}
        self._sessions: dict[str, Session] = {}
        self._replays: dict[tuple[str, str], tuple[bytes, Json]] = {}

    def give(self, user_id: str, given: Given) -> None:
        self._changed(user_id).given.append(given)

    def take(self, user_id: str, feature: str) -> None:
        now, person = self._now(), self._changed(user_id)
        person.given = [
            replace(each, until=min(each.until, now)) if each.feature == feature else each for each in person.given
        ]

    def pay(self, session_id: str) -> None:
        session = self._sessions[session_id]
        if not session.paid:
            session.paid = True
            for feature, value in self._sells[session.lookup_key].items():
                self.give(session.user_id, Given(feature, value, self._now(), FOREVER))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """As a transport's handler. Raises httpx.ConnectError while it is `unreachable`."""
        self.requests.append((request.method, request.url.path))
        fault = self.faults.popleft() if self.faults else self.fault
        if fault == "unreachable":
            raise httpx.ConnectError("the fake is down", request=request)
        response = self._answered(request) if fault is None else _told(fault)
        response.headers["date"] = format_datetime(self._now().astimezone(UTC), usegmt=True)
        return response

    def _answered(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._door(request.method, request.url.path)(request)
        except Problem as problem:
            return _told(problem.code)

    def _person(self, user_id: str) -> Person:
        return self._people.get(user_id, Person(self._began))

    def _changed(self, user_id: str) -> Person:
        person = self._people.setdefault(user_id, Person(self._began))
        person.changed_at = self._now()
        person.version += 1
        return person

    def _door(self, method: str, path: str) -> Door:
        """Raises Problem."""
        if method == "POST" and path.startswith(f"{core.CHECKOUT}/") and path.endswith("/sync"):
            return lambda _: _json(self._sync(path.split("/")[-2]))
        doors: dict[tuple[str, str], Door] = {
            ("GET", core.CHECK): lambda asked: _json(self._check(**dict(asked.url.params))),
            ("POST", core.CHECK): lambda asked: _json(
                {"results": [self._check(**each) for each in _body(asked)["checks"]]}
            ),
            ("GET", core.LIST): lambda asked: self._list(asked, **dict(asked.url.params)),
            ("GET", core.EXPLAIN): lambda asked: _json(self._explain(**dict(asked.url.params))),
            ("GET", core.CATALOG): lambda _: _json(self._catalog()),
            ("POST", core.CHECKOUT): lambda asked: self._once(asked, self._open),
            ("POST", core.PORTAL): lambda asked: self._once(asked, self._portal),
            ("POST", core.TOKEN): lambda asked: _json(self._token(**_body(asked))),
            ("GET", keyring.JWKS): lambda asked: _tagged(asked, signer.key_set()),
        }
        if (method, path) not in doors:
            raise Problem("not_found")
        return doors[method, path]

    def _once(self, request: httpx.Request, work: Callable[[Json], Json]) -> httpx.Response:
        """A key's first answer again, if the body is the same."""
        key = request.url.path, request.headers.get("idempotency-key", "")
        body, first = self._replays.get(key, (request.content, None))
        if body != request.content:
            raise Problem("idempotency_mismatch")
        answer = work(_body(request)) if first is None else first
        if key[1]:
            self._replays[key] = request.content, answer
        return _json(answer, 201)

    def _check(self, user_id: str, feature: str) -> Json:
        now = self._now()
        person = self._person(user_id)
        verdict, until = decide([each for each in person.given if each.feature == feature], now)
        reason = verdict.reason
        if self._features is not None and feature not in self._features:
            reason = "feature_not_found"
        return {
            "allowed": verdict.allowed,
            "value": verdict.value,
            "reason": reason,
            "valid_to": _time(until),
            "feature": feature,
            **self._about(user_id, person),
        }

    def _about(self, user_id: str, person: Person) -> Json:
        about = {"project_id": self.project_id, "user_id": user_id, "version": person.version}
        return {**about, "as_of": _time(person.changed_at), "stale": False}

    def _held(self, person: Person, now: datetime) -> list[Json]:
        held = []
        for feature in sorted({each.feature for each in person.given}):
            verdict, until = decide([each for each in person.given if each.feature == feature], now)
            if verdict.allowed:
                shape = {"feature": feature, "type": type_of(verdict.value), "value": verdict.value}
                held.append({**shape, "valid_to": _time(until), "sources": []})
        return held

    def _list(self, request: httpx.Request, user_id: str) -> httpx.Response:
        now = self._now()
        person = self._person(user_id)
        held = self._held(person, now)
        document = {**self._about(user_id, person), "entitlements": held}
        return _tagged(request, document, of=[person.version, held])

    def _explain(self, user_id: str, feature: str, at: str | None = None) -> Json:
        """In outline: what it rests on is the test's own doing."""
        check = self._check(user_id, feature)
        del check["stale"]
        return {**check, "at": at or _time(self._now()), "rule": FAKED, "sources": [], "denials": [], "changes": []}

    def _catalog(self) -> Json:
        features = [{"code": code, "type": kind, "name": code} for code, kind in (self._features or {}).items()]
        products = [{"id": key, "name": key, "benefits": [], "prices": []} for key in self._sells]
        return {"project_id": self.project_id, "features": features, "products": products}

    def _open(self, body: Json) -> Json:
        lookup_key = str(body.get("lookup_key"))
        if lookup_key not in self._sells:
            raise Problem("price_not_found")
        self._people.setdefault(body["user_id"], Person(self._began)).customer = True
        session_id = f"cs_fake_{len(self._sessions) + 1}"
        session = Session(session_id, body["user_id"], lookup_key, self._now() + timedelta(hours=24))
        self._sessions[session_id] = session
        url = f"{self._issuer}/checkout/{session_id}"
        return {"session_id": session_id, "url": url, "expires_at": _time(session.expires_at)}

    def _sync(self, session_id: str) -> Json:
        session = self._sessions.get(session_id)
        if session is None:
            raise Problem("session_not_found")
        return {
            "session_id": session_id,
            "status": "complete" if session.paid else "open",
            "payment_status": "paid" if session.paid else "unpaid",
            "entitlements_version": self._people[session.user_id].version,
        }

    def _portal(self, body: Json) -> Json:
        if not self._person(body["user_id"]).customer:
            raise Problem("customer_not_found")
        return {"url": f"{self._issuer}/portal/{body['user_id']}"}

    def _token(self, user_id: str) -> Json:
        now = self._now()
        person = self._person(user_id)
        edges = [decide([each for each in person.given if each.feature == one.feature], now)[1] for one in person.given]
        ends = min([now + TOKEN_LIFE, *edges]).replace(microsecond=0)
        claims = {
            "iss": signer.ISSUER,
            "aud": self.project_id,
            "sub": user_id,
            "iat": int(now.timestamp()),
            "exp": int(ends.timestamp()),
            "version": person.version,
            "entitlements": {each["feature"]: _granted(each) for each in self._held(person, now)},
        }
        return {"token": signer.sign(claims), "expires_at": _time(ends)}


def _granted(held: Json) -> Json:
    """As a token has it: without an end where none is known."""
    return {name: held[name] for name in ("value", "valid_to") if name == "value" or held[name] is not None}


def _json(document: Json, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=document)


def _tagged(request: httpx.Request, document: Json, of: object = None) -> httpx.Response:
    """With an ETag `of` what makes it another answer; 304 to who has it."""
    tag = f'"{hashlib.sha256(json.dumps(of or document).encode()).hexdigest()[:32]}"'
    if request.headers.get("if-none-match") == tag:
        return httpx.Response(304, headers={"etag": tag})
    return httpx.Response(200, json=document, headers={"etag": tag})


def _body(request: httpx.Request) -> Json:
    found: Json = json.loads(request.content)
    return found


def _time(at: datetime) -> str | None:
    return None if at == FOREVER else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _told(code: str) -> httpx.Response:
    """Status, shape and media type of the service's problems."""
    status = STATUSES[code]
    problem = {
        "type": f"urn:billing:problem:{code}",
        "title": code,
        "status": status,
        "detail": "The fake was told to answer so, or was asked for what it does not have.",
        "code": code,
        "request_id": "fake",
        "retryable": code in ("unavailable", "rate_limited"),
    }
    return httpx.Response(
        status, content=json.dumps(problem).encode(), headers={"content-type": "application/problem+json"}
    )
