"""`billing grant`, `billing revoke` and `billing grants`: access given, denied and taken back by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN, Answer, segment
from billing_cli.command import Session, command
from billing_cli.commands.projects import ProjectArgument
from billing_cli.faults import Fault, Misused, Refused
from billing_cli.files import rows_file
from billing_cli.lists import show_list
from billing_cli.screen import Column
from billing_cli.values import feature_value, instant

GROUP = typer.Typer(no_args_is_help=True, help="Grants and denials: list, show, and many at once out of a file.")
ROOT = typer.Typer()

MOST = 100
"""Grants of one request: all of them are made, or none."""

UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="The user's id, as the project knows it.", show_default=False)
]
FeatureArgument = Annotated[str, typer.Argument(metavar="FEATURE", help="The feature's code.", show_default=False)]
ReasonOption = Annotated[str, typer.Option(help="Why, for the audit log.", show_default=False)]
RowsArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="Rows: .csv with a heading, or a .yaml or .json list; - is stdin.")
]

_COLUMNS: Mapping[str, Column] = {
    "ID": "id",
    "PROJECT": "project_id",
    "USER": "user_id",
    "FEATURE": "feature",
    "VALUE": lambda row: "DENIED" if row["denial"] else row["value"],
    "STATE": "state",
    "FROM": "valid_from",
    "TO": lambda row: row["valid_to"] or "for ever",
    "REASON": "reason",
    "BY": "actor",
}


class State(StrEnum):
    SCHEDULED = "scheduled"
    LIVE = "live"
    ENDED = "ended"
    REVOKED = "revoked"


@command(
    ROOT,
    "grant",
    examples=[
        'billing grant notes ada export --reason "press account"',
        'billing grant notes ada notes --value 5000 --to 2027-12-31 --reason "beta"',
        'billing grant notes mallory export --deny --reason "abuse, ticket 7"',
    ],
    writes=True,
)
def grant(
    session: Session,
    project: ProjectArgument,
    user: UserArgument,
    feature: FeatureArgument,
    *,
    reason: ReasonOption,
    value: Annotated[
        str | None, typer.Option(help="A number, unlimited, or JSON.", show_default="true, of a boolean feature")
    ] = None,
    deny: Annotated[bool, typer.Option("--deny", help="Take the feature away, whatever else gives it.")] = False,
    priority: Annotated[int, typer.Option(help="Of config values the highest wins.")] = 0,
    valid_from: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="Its first instant.", show_default="now")
    ] = None,
    valid_to: Annotated[
        str | None, typer.Option("--to", metavar="INSTANT", help="Its end, exclusive.", show_default="never")
    ] = None,
) -> None:
    """Give a user a feature, or deny it. The next check answers by it."""
    body: dict[str, Any] = {"project_id": project, "user_id": user, "feature": feature, "reason": reason}
    body |= {"denial": deny, "priority": priority}
    if value is not None:
        body["value"] = feature_value(value)
    if valid_from is not None:
        body["valid_from"] = instant("--from", valid_from)
    if valid_to is not None:
        body["valid_to"] = instant("--to", valid_to)
    _show_changed(session, session.write("POST", f"{ADMIN}/grant", body))


@command(
    ROOT,
    "revoke",
    examples=[
        'billing revoke notes ada export --reason "left"',
        'billing revoke --id grant_5e… --reason "mistake"',
        'billing revoke notes mallory export --denial --reason "forgiven"',
    ],
    writes=True,
)
def revoke(
    session: Session,
    project: Annotated[str | None, typer.Argument(metavar="PROJECT", help="The project's id.")] = None,
    user: Annotated[str | None, typer.Argument(metavar="USER", help="The user's id.")] = None,
    feature: Annotated[str | None, typer.Argument(metavar="FEATURE", help="The feature's code.")] = None,
    *,
    reason: ReasonOption,
    grant_id: Annotated[str | None, typer.Option("--id", metavar="GRANT", help="One grant alone.")] = None,
    denial: Annotated[bool, typer.Option("--denial", help="Take back the denials, not the grants.")] = False,
) -> None:
    """Take back a grant by its id, or all grants that a user has of a feature. Denied from the next check on.

    What they bought stays: to take that too, deny the feature by `billing grant … --deny`.
    """
    named = [project, user, feature]
    if grant_id is not None and not denial and not any(named):
        body: dict[str, Any] = {"grant_id": grant_id, "reason": reason}
    elif grant_id is None and all(named):
        body = {"project_id": project, "user_id": user, "feature": feature, "denial": denial, "reason": reason}
    else:
        raise Misused("Which grants?", "Give PROJECT USER FEATURE, or --id GRANT alone.")
    _show_changed(session, session.write("POST", f"{ADMIN}/revoke", body))


@command(
    GROUP,
    "list",
    examples=["billing grants list notes --state live", "billing grants list notes --user ada --json"],
    lists=True,
)
def list_grants(
    session: Session,
    project: Annotated[str | None, typer.Argument(metavar="PROJECT", show_default="all projects")] = None,
    *,
    user: Annotated[str | None, typer.Option(help="Of this user of the project.")] = None,
    state: Annotated[State | None, typer.Option(help="As of now.")] = None,
) -> None:
    """Grants and denials, newest first."""
    query = {"project_id": project, "user_id": user, "state": state and state.value}
    show_list(session, f"{ADMIN}/grants", _COLUMNS, query)


@command(GROUP, "show", examples=["billing grants show grant_5e…"])
def show(session: Session, grant_id: Annotated[str, typer.Argument(metavar="GRANT", show_default=False)]) -> None:
    """One grant."""
    session.show(session.read(f"{ADMIN}/grants/{segment(grant_id)}"), session.screen.facts)


@command(
    GROUP,
    "give",
    examples=['billing grants give beta.csv --project notes --reason "beta testers"'],
    writes=True,
)
def give(
    session: Session,
    file: RowsArgument,
    *,
    project: Annotated[str | None, typer.Option(help="Of rows that do not say.")] = None,
    reason: Annotated[str | None, typer.Option(help="Of rows that do not say.")] = None,
) -> None:
    """Give or deny by rows: user_id, feature, and as needed value, denial, valid_from, valid_to, reason, project_id.

    A hundred rows at a time are all made, or none of them.
    """
    _bulk(session, "grant", file, {"project_id": project, "reason": reason})


@command(GROUP, "revoke", examples=['billing grants revoke ended.csv --reason "beta is over"'], writes=True)
def revoke_many(
    session: Session,
    file: RowsArgument,
    *,
    project: Annotated[str | None, typer.Option(help="Of rows that do not say.")] = None,
    reason: Annotated[str | None, typer.Option(help="Of rows that do not say.")] = None,
) -> None:
    """Take back by rows: grant_id, or user_id and feature. A hundred rows at a time, all or none of them."""
    _bulk(session, "revoke", file, {"project_id": project, "reason": reason})


def _bulk(session: Session, verb: str, file: str, defaults: Mapping[str, str | None]) -> None:
    rows = [_row(row, defaults) for row in rows_file(file)]
    changed: list[Any] = []
    for start in range(0, len(rows), MOST):
        part = rows[start : start + MOST]
        try:
            answer = session.write("POST", f"{ADMIN}/{verb}", {"grants": part}, part=f"-{start}")
        except Fault as fault:
            if start:
                session.screen.note(f"The {start} rows before row {start + 1} are done.")
            raise _of_file(fault, start) from fault
        changed += answer.document["grants"]
        session.screen.note(f"{start + len(part)} of {len(rows)} rows done.")
    _show_changed(session, Answer.of({"grants": changed}))


def _row(row: Mapping[str, Any], defaults: Mapping[str, str | None]) -> dict[str, Any]:
    """A revocation by id names neither project nor user."""
    given = {name: value for name, value in defaults.items() if value is not None}
    if "grant_id" in row:
        given.pop("project_id", None)
    window = {name: instant(name, str(row[name])) for name in ("valid_from", "valid_to") if row.get(name)}
    return {**given, **row, **window}


def _of_file(fault: Fault, start: int) -> Fault:
    """The pointers of a part as places in the file: `/grants/3/value` of the second hundred is row 104."""
    if not isinstance(fault, Refused):
        return fault
    errors = tuple((_in_file(pointer, start), text) for pointer, text in fault.problem.errors)
    return Refused(replace(fault.problem, errors=errors), fault.mend)


def _in_file(pointer: str, start: int) -> str:
    found = re.match(r"/grants/(\d+)(.*)", pointer)
    return pointer if found is None else f"row {start + int(found[1]) + 1}{found[2]}"


def _show_changed(session: Session, answer: Answer) -> None:
    columns = {**_COLUMNS, "VERSION": "entitlements_version"}
    session.show(answer, lambda document: session.screen.table(document["grants"], columns))
