"""Grants: access given, denied and taken back by hand, one or up to a hundred in one request."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from billing.domain.windows import FOREVER, parse_rfc3339, rfc3339
from billing.errors import FieldFault, Refused
from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, bad_cursor, page, place
from billing.http.schemas import Instant, ProjectId, UserId
from billing.store import customers, grants, projects
from billing.store.connection import Connection, transaction
from billing.store.grants import Grant, State
from billing.usecases.give_grants import give
from billing.usecases.manage_grants import Change, Held, change_grants
from billing.usecases.manage_projects import no_project
from billing.usecases.revoke_grants import take_back
from functions.admin.desk import Call, Desk, Routes, answered
from functions.admin.grant_bodies import LARGEST, GrantBody, RevokeBody, orders_of, targets_of


class GrantAnswer(BaseModel):
    """A grant, or a denial of a feature. `valid_to` is exclusive, null: for ever. `actor` is an admin key's name."""

    id: str
    project_id: str
    user_id: str
    feature: str
    value: Any
    denial: bool
    priority: int
    valid_from: Instant
    valid_to: Instant | None
    state: State
    reason: str
    actor: str
    created_at: Instant
    revoked_at: Instant | None
    revoked_by: str | None
    revoked_reason: str | None

    @staticmethod
    def of(grant: Grant, now: datetime) -> GrantAnswer:
        return GrantAnswer(**_members(grant, now))


class HeldAnswer(GrantAnswer):
    """Every check answers by this version of the user's entitlements, or a later one."""

    entitlements_version: int

    @staticmethod
    def of_held(held: Held, now: datetime) -> HeldAnswer:
        return HeldAnswer(**_members(held.grant, now), entitlements_version=held.entitlements_version)


class GrantsAnswer(BaseModel):
    grants: list[HeldAnswer]


class GrantQuery(PageQuery):
    """`user_id` is one of the project's users, so it goes with `project_id`."""

    project_id: ProjectId | None = None
    user_id: UserId | None = None
    state: Annotated[State | None, Field(description="As of now: to come, in force, over, or taken back")] = None


_FAULTS = ("project_not_found", "not_effective_yet")
GIVE = Operation(
    "POST",
    "/api/v1/admin/grant",
    "grant",
    "Give or deny a feature by hand",
    GrantsAnswer,
    status=201,
    body=GrantBody,
    problems=(*_FAULTS, "feature_not_found"),
    writes=True,
    largest=LARGEST,
)
REVOKE = Operation(
    "POST",
    "/api/v1/admin/revoke",
    "revoke",
    "Take a grant back: denied from the next check on",
    GrantsAnswer,
    body=RevokeBody,
    problems=(*_FAULTS, "grant_not_found"),
    writes=True,
    largest=LARGEST,
)
LIST = Operation(
    "GET",
    "/api/v1/admin/grants",
    "listGrants",
    "Grants and denials, newest first",
    Page[GrantAnswer],
    query=GrantQuery,
    problems=("project_not_found",),
)
READ = Operation(
    "GET", "/api/v1/admin/grants/{grant_id}", "readGrant", "One grant", GrantAnswer, problems=("grant_not_found",)
)


def _give(desk: Desk, call: Call) -> Response:
    orders = orders_of(of(GrantBody, call.asked.body), call.asked.document)
    return _write(desk, call, lambda connection, now, fence: give(connection, orders, call.operator, now, fence))


def _revoke(desk: Desk, call: Call) -> Response:
    targets = targets_of(of(RevokeBody, call.asked.body), call.asked.document)
    return _write(desk, call, lambda connection, now, fence: take_back(connection, targets, call.operator, now, fence))


def _write(desk: Desk, call: Call, change: Change) -> Response:
    outcome = change_grants(desk.publisher, call.once(), change, _show, status=call.operation.status, now=desk.now)
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


def _show(held: Held, now: datetime) -> dict[str, Any]:
    return HeldAnswer.of_held(held, now).model_dump(mode="json")


def _list(desk: Desk, call: Call) -> Response:
    query, now = of(GrantQuery, call.asked.query), desk.now()
    after = _place(query)
    with transaction(desk.database_url) as connection:
        rows = _rows(connection, query, now, after)
    answers = [GrantAnswer.of(row, now) for row in rows]
    return answered(call, page(query, answers, lambda row: (rfc3339(row.created_at), row.id)))


def _rows(connection: Connection, query: GrantQuery, now: datetime, after: tuple[datetime, str] | None) -> list[Grant]:
    customer_id = None
    if query.user_id is not None:
        project = None if query.project_id is None else projects.find_project(connection, query.project_id)
        if project is None:
            raise _no_owner(query)
        customer = customers.find(connection, project.namespace, query.user_id)
        if customer is None:
            return []
        customer_id = customer.id
    return grants.list_grants(
        connection,
        project_id=query.project_id,
        customer_id=customer_id,
        state=query.state,
        now=now,
        after=after,
        limit=query.limit + 1,
    )


def _no_owner(query: GrantQuery) -> Refused:
    if query.project_id is not None:
        return no_project(query.project_id)
    fault = FieldFault("?project_id", "say whose user it is: the same user_id may be another's elsewhere")
    return Refused("invalid_request", "The query is not valid.", fields=(fault,))


def _place(query: GrantQuery) -> tuple[datetime, str] | None:
    found = place(query, str, str)
    try:
        return None if found is None else (parse_rfc3339(found[0]), found[1])
    except (ValueError, OverflowError) as error:
        raise bad_cursor() from error


def _read(desk: Desk, call: Call) -> Response:
    grant_id = call.asked.path["grant_id"]
    with transaction(desk.database_url) as connection:
        found = grants.find_grants(connection, [grant_id]).get(grant_id)
    if found is None:
        raise Refused("grant_not_found", "There is no such grant: list them.")
    return answered(call, GrantAnswer.of(found, desk.now()))


def _members(grant: Grant, now: datetime) -> dict[str, Any]:
    members = {name: getattr(grant, name) for name in GrantAnswer.model_fields if name != "state"}
    members["valid_to"] = None if grant.valid_to == FOREVER else grant.valid_to
    return {**members, "state": _state(grant, now)}


def _state(grant: Grant, now: datetime) -> State:
    if grant.revoked_at is not None:
        return "revoked"
    if grant.valid_to <= now:
        return "ended"
    return "live" if grant.valid_from <= now else "scheduled"


ROUTES: Routes = ((GIVE, _give), (REVOKE, _revoke), (LIST, _list), (READ, _read))
