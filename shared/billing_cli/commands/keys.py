"""`billing key`: the projects' keys, and with --admin the operators' own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN, Answer, segment
from billing_cli.command import Session, command
from billing_cli.commands.projects import ReasonOption, path_of
from billing_cli.faults import Fault, Misused
from billing_cli.lists import show_list
from billing_cli.values import instant, seconds

GROUP = typer.Typer(no_args_is_help=True, help="API keys: list, create, rotate, revoke.")

ProjectOption = Annotated[str | None, typer.Option("--project", metavar="PROJECT", help="The keys of this project.")]
AdminOption = Annotated[bool, typer.Option("--admin", help="The operators' own keys.")]
KeyIdArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="Its id, key_…", show_default=False)]


def _path(project: str | None, admin: bool) -> str:
    if (project is None) != admin:
        raise Misused("Whose keys?", "Give --project PROJECT, or --admin.")
    return f"{ADMIN}/keys" if project is None else f"{path_of(project)}/keys"


@command(GROUP, "list", examples=["billing key list --project notes", "billing key list --admin --all"], lists=True)
def list_keys(
    session: Session,
    *,
    project: ProjectOption = None,
    admin: AdminOption = False,
) -> None:
    """The keys, without themselves: only their creation shows them."""
    columns = {
        "ID": "id",
        "NAME": "name",
        "MODE": "mode",
        "CREATED": "created_at",
        "ENDS": "expires_at",
        "REVOKED": "revoked_at",
    }
    show_list(session, _path(project, admin), columns)


@command(
    GROUP,
    "create",
    examples=[
        "billing key create backend --project notes > notes.key",
        "billing key create ann --admin --expires 2027-12-31",
    ],
    writes=True,
)
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it; the audit log names an admin by it.")],
    *,
    project: ProjectOption = None,
    admin: AdminOption = False,
    expires: Annotated[str | None, typer.Option(metavar="INSTANT", help="When it ends.", show_default="never")] = None,
) -> None:
    """Create a key and print it, this once, alone on standard output."""
    body: dict[str, Any] = {"name": name}
    if expires is not None:
        body["expires_at"] = instant("--expires", expires)
    _show_key(session, session.write("POST", _path(project, admin), body), "The new key.")


@command(
    GROUP,
    "rotate",
    examples=[
        "billing key rotate key_1f… --project notes --overlap 7d",
        "billing key rotate key_9c… --admin --overlap 0s",
    ],
    writes=True,
)
def rotate(
    session: Session,
    key_id: KeyIdArgument,
    *,
    project: ProjectOption = None,
    admin: AdminOption = False,
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the old key goes on opening: 0s to 30d.")
    ] = "24h",
) -> None:
    """Print a new key of the same name; the old one ends when the overlap is over."""
    path = f"{_path(project, admin)}/{segment(key_id)}/rotate"
    answer = session.write("POST", path, {"overlap_seconds": seconds("--overlap", overlap)})
    _show_key(session, answer, f"The successor of {key_id}.")


@command(GROUP, "revoke", examples=['billing key revoke key_1f… --project notes --reason "leaked"'], writes=True)
def revoke(
    session: Session,
    key_id: KeyIdArgument,
    *,
    project: ProjectOption = None,
    admin: AdminOption = False,
    reason: ReasonOption = None,
) -> None:
    """From the next request on the key opens nothing. To change a key without a gap, rotate it instead."""
    body = {} if reason is None else {"reason": reason}
    answer = session.write("POST", f"{_path(project, admin)}/{segment(key_id)}/revoke", body)
    session.show(answer, session.screen.facts)


def _show_key(session: Session, answer: Answer, what: str) -> None:
    made = answer.document
    if session.screen.as_json:
        session.screen.answer(answer.text)
    elif made["key"] is not None:
        session.screen.secret(made["key"], f"{what} Its id is {made['id']}.")
    if made["key"] is None:
        raise Fault(
            f"{made['id']} was made, but the answer that showed the key was lost.",
            f"Rotate it to see one: billing key rotate {made['id']} --overlap 0s",
        )
