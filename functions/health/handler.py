"""GET /healthz (alive), /ready (PostgreSQL, its migration level and DynamoDB answer) and /openapi.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from billing.cache.client import Client, batch_get
from billing.cache.client import connect as connect_cache
from billing.errors import Refused, Transient
from billing.http.exchange import Request, Response, serve
from billing.http.problems import KINDS, MEDIA_TYPE, document
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.settings import load
from billing.store import migrate
from billing.store.connection import transaction

HEALTHZ = "/healthz"
READY = "/ready"
OPENAPI = "/openapi.json"
OK = "ok"

CONTRACT = Path(__file__).with_name("openapi.json")
"""A link to docs/openapi.json: the package of this function has a copy."""

TIMEOUT = 2.0
"""Seconds for DynamoDB to answer: a probe is not a check, and may open the connection first."""


class Settings(NamedTuple):
    database_url: str
    table_name: str
    log_level: str = "INFO"


def build(environ: Mapping[str, str] = os.environ) -> Handle:
    """The handler. Raises BadSettings."""
    settings = load(Settings, environ)
    log = Log("health", settings.log_level)
    cache = connect_cache(settings.table_name, environ=environ)._replace(read_timeout=TIMEOUT)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return serve(event, context, log, lambda request: _respond(settings.database_url, cache, request))

    return handle


def _respond(database_url: str, cache: Client, request: Request) -> Response:
    headers = {"cache-control": "no-store"}
    if request.route == HEALTHZ:
        return Response(200, '{"status":"alive"}', headers)
    if request.route == OPENAPI:
        return Response(200, CONTRACT.read_text(encoding="utf-8"), headers)
    if request.route != READY:
        raise Refused("not_found", f"There is no route {request.route}.")
    checks = {**_store(database_url), "dynamodb": _dynamodb(cache)}
    if any(state != OK for state in checks.values()):
        return _not_ready(checks, request.request_id)
    return Response(200, json.dumps({"status": "ready", "checks": checks}), headers)


def _not_ready(checks: Mapping[str, str], request_id: str) -> Response:
    failing = ", ".join(name for name, state in checks.items() if state != OK)
    kind = KINDS["not_ready"]
    body = document("not_ready", kind, f"Not working: {failing}.", request_id, extra={"checks": checks})
    return Response(kind.status, body, {"content-type": MEDIA_TYPE, "cache-control": "no-store"}, {"checks": checks})


def _store(database_url: str) -> dict[str, str]:
    """PostgreSQL, and the level of its schema."""
    try:
        with transaction(database_url) as connection:
            level = migrate.level(connection)
    except Transient as fault:
        return {"postgresql": fault.detail, "migrations": "unknown"}
    wanted = migrate.wanted_level()
    behind = f"The schema is at level {level}, this release needs {wanted}: run the migrations."
    return {"postgresql": OK, "migrations": OK if level >= wanted else behind}


def _dynamodb(cache: Client) -> str:
    """A consistent read of an item that never exists: it reaches the table itself, with the rights a check needs."""
    try:
        batch_get(cache, ("ready",))
    except Transient as fault:
        return fault.detail
    return OK


lambda_handler = entrypoint(build)
