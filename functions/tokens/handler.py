"""POST /api/v1/entitlements/token signs what a user may do; GET /.well-known/jwks.json has the keys to verify it with.

A function of its own: no other can read the private keys, and a check pays nothing for them (ADR 48).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from billing.cache.client import READ_TIMEOUT, connect
from billing.cache.item import etag
from billing.http.app import no_route
from billing.http.auth import bearer
from billing.http.exchange import Request, Response, serve
from billing.http.operations import asked, of
from billing.runtime.aws import SECRETS_MANAGER, AwsClient
from billing.runtime.breaker import Breaker
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import load
from billing.usecases.answer_check import Reading
from billing.usecases.issue_token import issue_token
from billing.usecases.manage_signing_keys import key_set, signer
from billing.usecases.refill_snapshot import refill_key, refill_snapshot
from functions.tokens import signing_keys
from functions.tokens.desk import Desk
from functions.tokens.operations import ISSUE, KEY_SET, ROTATE, SHOW, TokenAnswer, TokenBody

TIMEOUT = 3.0
"""Seconds for reading or storing the keys."""

KEYS_CACHE_CONTROL = "public, max-age=300"
"""A new key signs 15 minutes after it is published (PUBLISHED_AHEAD): every copy is older by then."""

_NONE_YET = '"keys":[]}'

Door = Callable[[Desk, Request], Response]


class Settings(NamedTuple):
    table_name: str
    database_url: str
    signing_keys_secret_id: str
    log_level: str = "INFO"
    stage: str = "local"


def build(
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    read_timeout: float = READ_TIMEOUT,
) -> Handle:
    """The handler; a read of the table may take so many seconds. Reads no key and opens no connection: the first
    request does. Raises BadSettings.
    """
    settings = load(Settings, environ)
    log = Log("tokens", settings.log_level, stage=settings.stage)
    cache = connect(settings.table_name, Breaker(), environ)._replace(read_timeout=read_timeout)
    desk = Desk(
        Reading(
            cache,
            partial(refill_key, settings.database_url, cache),
            partial(refill_snapshot, settings.database_url, cache),
            Breaker(failures=2),
        ),
        Secret(AwsClient(SECRETS_MANAGER, TIMEOUT, environ), settings.signing_keys_secret_id),
        settings.database_url,
        f"billing-{settings.stage}",
        now,
    )
    return front(desk, log)


def front(desk: Desk, log: Log) -> Handle:
    doors: dict[str, Door] = {
        ISSUE.route: _issue,
        KEY_SET.route: _key_set,
        SHOW.route: signing_keys.show,
        ROTATE.route: signing_keys.rotate,
    }

    def answer(request: Request) -> Response:
        door = doors.get(f"{request.method} {request.route}")
        if door is None:
            raise no_route(request, doors)
        return door(desk, request)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return serve(event, context, log, answer)

    return handle


def _issue(desk: Desk, request: Request) -> Response:
    api_key = bearer(request.headers.get("authorization", ()))
    body = of(TokenBody, asked(ISSUE, request).body)
    now = desk.now()
    issued = issue_token(desk.reading, api_key, body.user_id, signer(desk.secret, now), desk.issuer, now)
    answer = TokenAnswer(token=issued.token, expires_at=issued.expires_at)
    notes = {"road": issued.road, "project_id": issued.project_id, "key_id": issued.key_id}
    return Response(200, answer.model_dump_json(), {"cache-control": "no-store"}, notes)


def _key_set(desk: Desk, request: Request) -> Response:
    body = key_set(desk.secret, desk.issuer, desk.now())
    # the first key signs at once, so nobody may keep that there was none
    headers = {"cache-control": "no-store" if body.endswith(_NONE_YET) else KEYS_CACHE_CONTROL, "etag": etag(body)}
    if request.has(headers["etag"]):
        return Response(304, "", headers)
    return Response(200, body, headers)


lambda_handler = entrypoint(build)
