"""What may this user do (GET /api/v1/entitlements, GET and POST …/check), and why (GET …/explain)?

The hot path. A hit imports the standard library and this package only; PostgreSQL's driver comes with the first miss,
and with the first question why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from billing.cache.client import READ_TIMEOUT, Client, connect
from billing.cache.item import KeyRecord, SnapshotItem, encode
from billing.errors import Refused
from billing.http.auth import bearer
from billing.http.exchange import Request, Response, serve
from billing.runtime.breaker import Breaker
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.settings import load
from billing.usecases.answer_check import Answer, Question, Reading, answer
from billing.usecases.check_batch import answer_batch
from functions.entitlements import questions

LIST = "/api/v1/entitlements"
CHECK = "/api/v1/entitlements/check"
EXPLAIN = "/api/v1/entitlements/explain"

CACHE_CONTROL = "private, max-age=0, must-revalidate"
"""Nobody may answer for us: a write is effective on the very next request."""

Door = Callable[[Request, datetime], Response]


class Settings(NamedTuple):
    table_name: str
    database_url: str
    log_level: str = "INFO"


def build(
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    read_timeout: float = READ_TIMEOUT,
) -> Handle:
    """The handler; a read of the table may take so many seconds. Opens no connection: the first request does.

    Raises BadSettings.
    """
    settings = load(Settings, environ)
    log = Log("entitlements", settings.log_level)
    cache = connect(settings.table_name, Breaker(), environ)._replace(read_timeout=read_timeout)
    reading = _reading(settings.database_url, cache)
    doors: dict[tuple[str, str], Door] = {
        ("GET", LIST): lambda request, at: _list(reading, request, at),
        ("GET", CHECK): lambda request, at: _check(reading, request, at),
        ("POST", CHECK): lambda request, at: _check_batch(reading, request, at),
        ("GET", EXPLAIN): lambda request, at: _explain(settings.database_url, request, at),
    }

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return serve(event, context, log, lambda request: _door(doors, request)(request, now()))

    return handle


def _reading(database_url: str, cache: Client) -> Reading:
    def refill_key(digest: bytes, now: datetime) -> KeyRecord | None:
        from billing.usecases import refill_snapshot as refills  # noqa: PLC0415  brings psycopg: only on a miss

        return refills.refill_key(database_url, cache, digest, now)

    def refill_snapshot(project_id: str, user_id: str, now: datetime) -> SnapshotItem:
        from billing.usecases import refill_snapshot as refills  # noqa: PLC0415  brings psycopg: only on a miss

        return refills.refill_snapshot(database_url, cache, project_id, user_id, now)

    return Reading(cache, refill_key, refill_snapshot, Breaker(failures=2))


def _door(doors: Mapping[tuple[str, str], Door], request: Request) -> Door:
    door = doors.get((request.method, request.route))
    if door is not None:
        return door
    methods = sorted(method for method, route in doors if route == request.route)
    if not methods:
        raise Refused("not_found", f"There is no route {request.route}.")
    raise Refused("method_not_allowed", f"{request.route} takes {' and '.join(methods)}.")


def _list(reading: Reading, request: Request, now: datetime) -> Response:
    api_key = _api_key(request)
    return _response(request, answer(reading, api_key, Question(questions.user_id(request)), now))


def _check(reading: Reading, request: Request, now: datetime) -> Response:
    api_key = _api_key(request)
    question = Question(questions.user_id(request), questions.feature(request))
    return _response(request, answer(reading, api_key, question, now))


def _check_batch(reading: Reading, request: Request, now: datetime) -> Response:
    api_key = _api_key(request)
    answers = answer_batch(reading, api_key, questions.pairs(request), now)
    body = '{"results":[' + ",".join(answered.body for answered in answers) + "]}"
    roads = "+".join(sorted({answered.road for answered in answers}))
    notes = {"road": roads, "project_id": answers[0].project_id, "key_id": answers[0].key_id, "checks": len(answers)}
    return Response(200, body, {"cache-control": CACHE_CONTROL}, notes)


def _explain(database_url: str, request: Request, now: datetime) -> Response:
    from billing.http.app import project_asked  # noqa: PLC0415  brings psycopg: never for a check
    from billing.usecases.explain_access import Asked, explain_access  # noqa: PLC0415  likewise

    project_id, key_id = project_asked(database_url, request, now)
    user_id, feature = questions.user_id(request), questions.feature(request)
    asked = Asked(project_id, user_id, feature, questions.instant(request, "at"))
    body = encode(explain_access(database_url, asked, now))
    notes = {"road": "explain", "project_id": project_id, "key_id": key_id}
    return Response(200, body, {"cache-control": CACHE_CONTROL}, notes)


def _api_key(request: Request) -> str:
    return bearer(request.headers.get("authorization", ()))


def _response(request: Request, answered: Answer) -> Response:
    notes = {"road": answered.road, "project_id": answered.project_id, "key_id": answered.key_id}
    headers = {"cache-control": CACHE_CONTROL}
    if answered.etag is None:
        return Response(200, answered.body, headers, notes)
    headers["etag"] = answered.etag
    if request.has(answered.etag):
        return Response(304, "", headers, notes)
    return Response(200, answered.body, headers, notes)


lambda_handler = entrypoint(build)
