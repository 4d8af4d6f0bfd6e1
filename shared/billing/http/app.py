"""The front of the write routes: route, caller and body, checked in this order, before a use case sees any of it.

Unlike a check, a write looks its key up in PostgreSQL itself, so a revoked key opens nothing from that instant on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from billing.domain import keys
from billing.errors import FieldFault, Refused
from billing.http.auth import bearer
from billing.http.exchange import Request, Response, serve, single
from billing.runtime.entrypoint import Handle
from billing.runtime.log import Log
from billing.store.connection import transaction
from billing.store.keys import ApiKey, find_key


@dataclass(frozen=True, slots=True)
class Caller:
    """The project whose key was sent."""

    project_id: str
    namespace: str
    allowed_origins: tuple[str, ...]
    key_id: str


@dataclass(frozen=True, slots=True)
class Admin:
    """The operator whose key was sent. `name` is the actor in the audit log."""

    key_id: str
    name: str
    mode: keys.Mode


Route = Callable[[Request, Caller], Response]

_PROJECT_ID = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


def application(database_url: str, log: Log, now: Callable[[], datetime], routes: Mapping[str, Route]) -> Handle:
    """A handler of project-key routes, named `POST /api/v1/portal` as `infra/routes.py` has them."""

    def answer(request: Request) -> Response:
        route = routes.get(f"{request.method} {request.route}")
        if route is None:
            raise no_route(request, routes)
        return route(request, caller_of(database_url, request, now()))

    return lambda event, context: serve(event, context, log, answer)


def digest_of(document: Mapping[str, Any]) -> bytes:
    """Equal for bodies that say the same, however they are spaced and ordered."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key`, 1 to 255 printable ASCII characters. Without one each request is a new one."""
    values = request.headers.get("idempotency-key", ())
    if not values:
        return None
    key = values[0]
    if len(values) != 1 or not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise Refused("malformed_request", "Send one Idempotency-Key of 1 to 255 printable ASCII characters.")
    return key


def path_parameter(request: Request, name: str) -> str:
    """A parameter of the route's template, decoded; "" where the front sent none.

    An HTTP API decodes it before the function sees it (and says `version`), a REST API leaves that to the function.
    """
    sent = str((request.event.get("pathParameters") or {}).get(name) or "")
    return sent if "version" in request.event else unquote(sent)


def answered(status: int, body: str, caller: Caller, *, replayed: bool = False) -> Response:
    """A write's answer, never to be cached; `Idempotent-Replayed` says that it was given before."""
    headers = {"cache-control": "no-store"}
    if replayed:
        headers["idempotent-replayed"] = "true"
    notes = {"project_id": caller.project_id, "key_id": caller.key_id, "replayed": replayed}
    return Response(status, body, headers, notes)


def caller_of(database_url: str, request: Request, now: datetime) -> Caller:
    """Whose key was sent, as of `now`. Raises Refused (`invalid_api_key`, `wrong_role`, `project_suspended`)."""
    key = _key_of(database_url, request, now, "project")
    if key.project_id is None or key.namespace is None:
        raise Refused("wrong_role", "This key does not open this route now.")
    return Caller(key.project_id, key.namespace, tuple(key.allowed_origins or ()), key.id)


def admin_of(database_url: str, request: Request, now: datetime) -> Admin:
    """The operator whose key was sent, as of `now`. Raises Refused (`invalid_api_key`, `wrong_role`)."""
    key = _key_of(database_url, request, now, "admin")
    return Admin(key.id, key.name, key.mode)


def project_asked(database_url: str, request: Request, now: datetime) -> tuple[str, str]:
    """The project that is asked about, and the id of the key that may: a project's own key, or an operator's, who
    names the project by `?project_id=`.

    Raises Refused (`invalid_api_key`, `project_suspended`; `wrong_project` where a project's key names another;
    `invalid_request` where an operator names none).
    """
    key = _key_of(database_url, request, now, None)
    if key.project_id is None:
        named = single(request, "project_id")
        if _PROJECT_ID.fullmatch(named) is None:
            fault = FieldFault("?project_id", "a project's id is a letter, then up to 62 letters, digits or `-`")
            raise Refused("invalid_request", "The query is not valid.", fields=(fault,))
        return named, key.id
    if "project_id" in request.query and single(request, "project_id") != key.project_id:
        raise Refused("wrong_project", "The key is of another project than the one named: use that project's own key.")
    return key.project_id, key.id


def _key_of(database_url: str, request: Request, now: datetime, needs: keys.Role | None) -> ApiKey:
    digest = keys.digest(bearer(request.headers.get("authorization", ())))
    with transaction(database_url) as connection:
        key = find_key(connection, digest)
    if key is None:
        raise Refused("invalid_api_key", "No such key, or it was revoked or has expired.")
    fault = keys.fault_of(
        now,
        needs=needs or key.role,
        role=key.role,
        project_status=key.project_status,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
    if fault is not None:
        raise Refused(fault, "This key does not open this route now.")
    return key


def no_route(request: Request, routes: Iterable[str]) -> Refused:
    """Raise it where none of these, named `POST /api/v1/portal`, is what was asked."""
    if any(name.partition(" ")[2] == request.route for name in routes):
        return Refused("method_not_allowed", f"{request.route} does not take {request.method}.")
    return Refused("not_found", "There is no such route.")
