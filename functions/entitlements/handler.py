"""GET /api/v1/entitlements and /api/v1/entitlements/check: what may this user do?

The hot path. A hit imports the standard library and this package only; PostgreSQL's driver comes with the first miss.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.cache.client import connect
from billing.cache.item import KeyRecord, SnapshotItem
from billing.errors import FieldFault, Refused
from billing.http.auth import bearer
from billing.http.exchange import Request, Response, serve, single
from billing.runtime.breaker import Breaker
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.settings import load
from billing.usecases.answer_check import Answer, Question, Reading, answer

LIST = "/api/v1/entitlements"
CHECK = "/api/v1/entitlements/check"

CACHE_CONTROL = "private, max-age=0, must-revalidate"
"""Nobody may answer for us: a write is effective on the very next request."""

MAX_USER_ID = 255
_FEATURE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Settings:
    table_name: str
    database_url: str
    log_level: str = "INFO"


def build(environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Handle:
    """The handler. Opens no connection: the first request does. Raises BadSettings."""
    settings = load(Settings, environ)
    log = Log("entitlements", settings.log_level)
    reading = _reading(settings, environ)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return serve(event, context, log, lambda request: _respond(reading, request, now()))

    return handle


def _reading(settings: Settings, environ: Mapping[str, str]) -> Reading:
    cache = connect(settings.table_name, Breaker(), environ)

    def refill_key(digest: bytes, now: datetime) -> KeyRecord | None:
        from billing.usecases import refill_snapshot as refills  # noqa: PLC0415  brings psycopg: only on a miss

        return refills.refill_key(settings.database_url, cache, digest, now)

    def refill_snapshot(project_id: str, user_id: str, now: datetime) -> SnapshotItem:
        from billing.usecases import refill_snapshot as refills  # noqa: PLC0415  brings psycopg: only on a miss

        return refills.refill_snapshot(settings.database_url, cache, project_id, user_id, now)

    return Reading(cache, refill_key, refill_snapshot, Breaker(failures=2))


def _respond(reading: Reading, request: Request, now: datetime) -> Response:
    if request.route not in (LIST, CHECK):
        raise Refused("not_found", f"There is no route {request.route}.")
    if request.method != "GET":
        raise Refused("method_not_allowed", f"{request.route} takes GET.")
    api_key = bearer(request.headers.get("authorization", ()))
    question = Question(_user_id(request), _feature(request) if request.route == CHECK else None)
    return _response(request, answer(reading, api_key, question, now))


def _response(request: Request, answered: Answer) -> Response:
    notes = {"road": answered.road, "project_id": answered.project_id, "key_id": answered.key_id}
    headers = {"cache-control": CACHE_CONTROL}
    if answered.etag is None:
        return Response(200, answered.body, headers, notes)
    headers["etag"] = answered.etag
    if _matches(request.headers.get("if-none-match", ()), answered.etag):
        return Response(304, "", headers, notes)
    return Response(200, answered.body, headers, notes)


def _matches(values: Any, etag: str) -> bool:
    """Whether If-None-Match names this answer; tags compare weakly (RFC 9110 §13.1.2)."""
    tags = {tag.strip().removeprefix("W/") for value in values for tag in value.split(",")}
    return etag in tags or "*" in tags


def _user_id(request: Request) -> str:
    user_id = single(request, "user_id")
    if not 1 <= len(user_id) <= MAX_USER_ID or not user_id.isprintable():
        raise _invalid("user_id", f"a user_id is 1 to {MAX_USER_ID} printable characters")
    return user_id


def _feature(request: Request) -> str:
    feature = single(request, "feature")
    if not _FEATURE.fullmatch(feature):
        raise _invalid("feature", "a feature's code is a letter, then up to 62 letters, digits, `_`, `.` or `-`")
    return feature


def _invalid(name: str, fault: str) -> Refused:
    return Refused("invalid_request", f"The query is not valid: {fault}.", fields=(FieldFault(f"?{name}", fault),))


lambda_handler = entrypoint(build)
