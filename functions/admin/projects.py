"""Projects: created, listed, renamed, suspended and activated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, page, place
from billing.http.schemas import Body, ProjectId, Reason
from billing.store import projects
from billing.store.connection import Connection, transaction
from billing.usecases.manage_projects import add_project, change_project, no_project
from billing.usecases.once import transact
from billing.usecases.publish_outbox import publish_project
from functions.admin.desk import Call, Desk, Routes, answered

Name = Annotated[str, Field(min_length=1, max_length=100)]
Origins = Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=50)]


class ProjectAnswer(BaseModel):
    """A micro-app. `catalog_epoch` grows with every change of what it sells or is."""

    id: str
    name: str
    namespace: str
    allowed_origins: list[str]
    status: Literal["active", "suspended"]
    catalog_epoch: int

    @staticmethod
    def of(project: projects.Project) -> ProjectAnswer:
        return ProjectAnswer.model_validate(project, from_attributes=True)


class NewProject(Body):
    """`identity_namespace`: projects of one namespace share their users; the project's own id if not given."""

    id: ProjectId
    name: Name
    allowed_origins: Origins = Field(default_factory=list)
    identity_namespace: ProjectId | None = None


class ProjectChange(Body):
    """What is left out stays. A suspended project's keys open nothing."""

    name: Name | None = None
    allowed_origins: Origins | None = None
    status: Literal["active", "suspended"] | None = None
    reason: Reason | None = None


LIST = Operation(
    "GET", "/api/v1/admin/projects", "listProjects", "The projects, by id", Page[ProjectAnswer], query=PageQuery
)
CREATE = Operation(
    "POST",
    "/api/v1/admin/projects",
    "createProject",
    "Create a project",
    ProjectAnswer,
    status=201,
    body=NewProject,
    problems=("project_exists",),
    writes=True,
)
READ = Operation(
    "GET",
    "/api/v1/admin/projects/{project_id}",
    "readProject",
    "One project",
    ProjectAnswer,
    problems=("project_not_found",),
)
CHANGE = Operation(
    "PATCH",
    "/api/v1/admin/projects/{project_id}",
    "changeProject",
    "Rename, allow origins, suspend or activate",
    ProjectAnswer,
    body=ProjectChange,
    problems=("project_not_found",),
    writes=True,
)


def _list(desk: Desk, call: Call) -> Response:
    query = of(PageQuery, call.asked.query)
    after = place(query, str)
    with transaction(desk.database_url) as connection:
        rows = projects.list_projects(connection, after=after[0] if after else "", limit=query.limit + 1)
    return answered(call, page(query, [ProjectAnswer.of(row) for row in rows], lambda row: (row.id,)))


def _create(desk: Desk, call: Call) -> Response:
    body = of(NewProject, call.asked.body)

    def work(connection: Connection) -> tuple[int, str]:
        origins, namespace = body.allowed_origins, body.identity_namespace
        made = add_project(connection, body.id, body.name, origins, namespace, call.operator, desk.now())
        return CREATE.status, ProjectAnswer.of(made).model_dump_json()

    outcome = transact(desk.database_url, call.once(), work)
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


def _read(desk: Desk, call: Call) -> Response:
    with transaction(desk.database_url) as connection:
        found = projects.find_project(connection, call.asked.path["project_id"])
    if found is None:
        raise no_project(call.asked.path["project_id"])
    return answered(call, ProjectAnswer.of(found))


def _change(desk: Desk, call: Call) -> Response:
    body, project_id = of(ProjectChange, call.asked.body), call.asked.path["project_id"]

    def work(connection: Connection) -> tuple[int, str]:
        changed = change_project(
            connection,
            project_id,
            call.operator,
            desk.now(),
            name=body.name,
            allowed_origins=body.allowed_origins,
            status=body.status,
            reason=body.reason,
        )
        return CHANGE.status, ProjectAnswer.of(changed).model_dump_json()

    outcome = transact(desk.database_url, call.once(), work)
    publish_project(desk.publisher, project_id, desk.now())
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


ROUTES: Routes = ((LIST, _list), (CREATE, _create), (READ, _read), (CHANGE, _change))
