"""`billing project`: the micro-apps."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from billing_cli.api import ADMIN, segment
from billing_cli.command import Session, command
from billing_cli.faults import Misused
from billing_cli.lists import show_list

GROUP = typer.Typer(no_args_is_help=True, help="Micro-apps: create, list, change, suspend, activate.")

ProjectArgument = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's id.", show_default=False)]
ReasonOption = Annotated[str | None, typer.Option(help="Why, for the audit log.")]
OriginsOption = Annotated[
    list[str] | None,
    typer.Option("--origin", metavar="ORIGIN", help="An allowed origin: https://host[:port]. May be repeated."),
]

PROJECTS = f"{ADMIN}/projects"


def path_of(project: str) -> str:
    return f"{PROJECTS}/{segment(project)}"


@command(GROUP, "list", examples=["billing project list", "billing project list --all --json"], lists=True)
def list_projects(session: Session) -> None:
    """The projects, by id."""
    columns = {"ID": "id", "NAME": "name", "NAMESPACE": "namespace", "STATUS": "status", "EPOCH": "catalog_epoch"}
    show_list(session, PROJECTS, columns)


@command(
    GROUP,
    "create",
    examples=[
        'billing project create notes --name "Notes" --origin https://notes.example',
        'billing project create board --name "Board" --namespace notes',
    ],
    writes=True,
)
def create(
    session: Session,
    project: ProjectArgument,
    *,
    name: Annotated[str | None, typer.Option(help="What people call it.", show_default="the id")] = None,
    origins: OriginsOption = None,
    namespace: Annotated[
        str | None,
        typer.Option(help="Projects of one namespace share their users. It cannot be changed.", show_default="the id"),
    ] = None,
) -> None:
    """Create a project. Next: `billing key create` and `billing catalog apply`."""
    body: dict[str, Any] = {"id": project, "name": name or project, "allowed_origins": origins or []}
    if namespace is not None:
        body["identity_namespace"] = namespace
    session.show(session.write("POST", PROJECTS, body), session.screen.facts)


@command(GROUP, "show", examples=["billing project show notes"])
def show(session: Session, project: ProjectArgument) -> None:
    """One project."""
    session.show(session.read(path_of(project)), session.screen.facts)


@command(
    GROUP,
    "update",
    examples=[
        'billing project update notes --name "Notes 2"',
        "billing project update notes --origin https://notes.example --origin http://localhost:3000",
    ],
    writes=True,
)
def update(
    session: Session,
    project: ProjectArgument,
    *,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    origins: OriginsOption = None,
    no_origins: Annotated[bool, typer.Option("--no-origins", help="Allow no origin: nothing can be sold.")] = False,
    reason: ReasonOption = None,
) -> None:
    """Rename it, or replace all its allowed origins. What is left out stays."""
    if origins and no_origins:
        raise Misused("--origin and --no-origins contradict each other.", "Give one of them.")
    replaced = [] if no_origins else origins or None
    if name is None and replaced is None:
        raise Misused("There is nothing to change.", "Give --name, --origin or --no-origins.")
    _change(session, project, {"name": name, "allowed_origins": replaced, "reason": reason})


@command(GROUP, "suspend", examples=['billing project suspend notes --reason "unpaid"'], writes=True)
def suspend(session: Session, project: ProjectArgument, *, reason: ReasonOption = None) -> None:
    """From the next request on its keys open nothing: checks and checkouts are refused."""
    _turn(session, project, "suspended", reason)


@command(GROUP, "activate", examples=["billing project activate notes"], writes=True)
def activate(session: Session, project: ProjectArgument, *, reason: ReasonOption = None) -> None:
    """End a suspension, from the next request on."""
    _turn(session, project, "active", reason)


def _turn(session: Session, project: str, status: Literal["active", "suspended"], reason: str | None) -> None:
    _change(session, project, {"status": status, "reason": reason})


def _change(session: Session, project: str, members: dict[str, Any]) -> None:
    body = {name: value for name, value in members.items() if value is not None}
    session.show(session.write("PATCH", path_of(project), body), session.screen.facts)
