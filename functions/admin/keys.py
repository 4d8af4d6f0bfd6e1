"""API keys: a project's, and the operators' own. A key is shown once, in the answer that made it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from billing.errors import FieldFault, Refused
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, page, place
from billing.http.schemas import Body, Instant, Reason
from billing.store import keys, projects
from billing.store.connection import Connection, transaction
from billing.usecases.manage_projects import NewKey, add_key, end_key, no_project, rotate_key
from billing.usecases.once import transact
from billing.usecases.publish_outbox import publish_project
from functions.admin.desk import Call, Desk, Routes, answered
from functions.admin.projects import Name

LONGEST_OVERLAP = 30 * 86_400


class KeyAnswer(BaseModel):
    """A key as it can be shown again."""

    id: str
    role: Literal["project", "admin"]
    project_id: str | None
    name: str
    mode: Literal["live", "test"]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None

    @staticmethod
    def of(row: keys.KeyRow) -> KeyAnswer:
        return KeyAnswer.model_validate(row, from_attributes=True)


class NewKeyAnswer(BaseModel):
    """`key` is shown this once; a repeat of the request has it null: rotate the key if the first answer was lost."""

    id: str
    key: str | None


class NewKeyBody(Body):
    """`name`: who uses it; an admin key's name is the actor in the audit log."""

    name: Name
    expires_at: Instant | None = None


class RotateBody(Body):
    """The old key goes on opening for `overlap_seconds`."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP)] = 86_400


class RevokeBody(Body):
    reason: Reason | None = None


_OF_PROJECT = "/api/v1/admin/projects/{project_id}/keys"
_OF_ADMINS = "/api/v1/admin/keys"
_GONE = ("key_not_found", "key_revoked")


def _operations(path: str, whose: str, words: str, problems: tuple[str, ...]) -> tuple[Operation, ...]:
    one = path + "/{key_id}"
    return (
        Operation(
            "GET", path, f"list{whose}Keys", f"{words} keys", Page[KeyAnswer], query=PageQuery, problems=problems
        ),
        Operation(
            "POST",
            path,
            f"create{whose}Key",
            f"Create one of {words.lower()} keys",
            NewKeyAnswer,
            status=201,
            body=NewKeyBody,
            problems=problems,
            writes=True,
        ),
        Operation(
            "POST",
            one + "/rotate",
            f"rotate{whose}Key",
            "A new key in place of this one, which ends after the overlap",
            NewKeyAnswer,
            status=201,
            body=RotateBody,
            problems=_GONE,
            writes=True,
        ),
        Operation(
            "POST",
            one + "/revoke",
            f"revoke{whose}Key",
            "From the next request on the key opens nothing",
            KeyAnswer,
            body=RevokeBody,
            problems=("key_not_found",) if problems else ("key_not_found", "last_admin_key"),
            writes=True,
        ),
    )


OF_PROJECT = _operations(_OF_PROJECT, "Project", "A project's", ("project_not_found",))
OF_ADMINS = _operations(_OF_ADMINS, "Admin", "The operators'", ())


def _list(desk: Desk, call: Call) -> Response:
    query, project_id = of(PageQuery, call.asked.query), call.asked.path.get("project_id")
    after = place(query, str)
    with transaction(desk.database_url) as connection:
        if project_id is not None and projects.find_project(connection, project_id) is None:
            raise no_project(project_id)
        rows = keys.list_keys(connection, project_id, after=after[0] if after else "", limit=query.limit + 1)
    return answered(call, page(query, [KeyAnswer.of(row) for row in rows], lambda row: (row.id,)))


def _create(desk: Desk, call: Call) -> Response:
    body, project_id = of(NewKeyBody, call.asked.body), call.asked.path.get("project_id")
    if body.expires_at is not None and body.expires_at <= desk.now():
        raise Refused("invalid_request", "The key would open nothing.", fields=(_past(),))
    mode: Literal["live", "test"] = "live" if desk.livemode else "test"
    return _shown_once(
        desk,
        call,
        lambda connection: add_key(connection, project_id, body.name, mode, body.expires_at, call.operator, desk.now()),
    )


def _past() -> FieldFault:
    return FieldFault("/expires_at", "give an instant that is still to come, or leave it out")


def _rotate(desk: Desk, call: Call) -> Response:
    overlap = timedelta(seconds=of(RotateBody, call.asked.body).overlap_seconds)
    project_id, key_id = call.asked.path.get("project_id"), call.asked.path["key_id"]
    return _shown_once(
        desk,
        call,
        lambda connection: rotate_key(connection, project_id, key_id, overlap, call.operator, desk.now()),
    )


def _shown_once(desk: Desk, call: Call, make: Callable[[Connection], NewKey]) -> Response:
    """The key itself is never stored, not even as the answer to be replayed."""
    made: list[NewKey] = []

    def work(connection: Connection) -> tuple[int, str]:
        made.append(make(connection))
        return call.operation.status, json.dumps({"id": made[-1].id, "key": None})

    outcome = transact(desk.database_url, call.once(), work)
    _publish(desk, call)
    if outcome.replayed:
        return answered(call, outcome.body, status=outcome.status, replayed=True)
    return answered(call, NewKeyAnswer(id=made[-1].id, key=made[-1].secret))


def _revoke(desk: Desk, call: Call) -> Response:
    reason = of(RevokeBody, call.asked.body).reason

    def work(connection: Connection) -> tuple[int, str]:
        project_id, key_id = call.asked.path.get("project_id"), call.asked.path["key_id"]
        row = end_key(connection, project_id, key_id, call.operator, desk.now(), reason)
        return call.operation.status, KeyAnswer.of(row).model_dump_json()

    outcome = transact(desk.database_url, call.once(), work)
    _publish(desk, call)
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


def _publish(desk: Desk, call: Call) -> None:
    if "project_id" in call.asked.path:
        publish_project(desk.publisher, call.asked.path["project_id"], desk.now())


_SERVED = (_list, _create, _rotate, _revoke)
ROUTES: Routes = (*zip(OF_PROJECT, _SERVED, strict=True), *zip(OF_ADMINS, _SERVED, strict=True))
