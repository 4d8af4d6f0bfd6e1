"""`billing customer`: users, and all that is known about one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from billing_cli.api import ADMIN, segment
from billing_cli.command import Session, command
from billing_cli.commands.grants import UserArgument
from billing_cli.commands.projects import ProjectArgument
from billing_cli.lists import show_list
from billing_cli.screen import Column, Screen

GROUP = typer.Typer(no_args_is_help=True, help="Users: list them, or show one on a page.")


def _bought(item: Mapping[str, Any]) -> str:
    name = str(item["lookup_key"] or item["price_id"])
    return name if item["quantity"] == 1 else f"{item['quantity']} x {name}"


_SECTIONS: Mapping[str, Mapping[str, Column]] = {
    "stripe_customers": {"ID": "id", "CREATED": "created_at", "DELETED": "deleted_at"},
    "subscriptions": {
        "ID": "id",
        "STATUS": "status",
        "PRICES": lambda row: ", ".join(_bought(item) for item in row["items"]["data"]),
        "PERIOD ENDS": lambda row: max((item["period_end"] for item in row["items"]["data"]), default=None),
        "CANCELS": "cancel_at",
        "ENDED": "ended_at",
    },
    "purchases": {
        "SESSION": "session_id",
        "PRICE": _bought,
        "AMOUNT": lambda row: f"{row['amount']} {row['currency']}",
        "PAID": "paid_at",
    },
    "charges": {
        "ID": "id",
        "AMOUNT": lambda row: f"{row['amount']} {row['currency']}",
        "REFUNDED": lambda row: _sum_of(row["refunds"]["data"]),
        "DISPUTES": lambda row: ", ".join(one["status"] for one in row["disputes"]["data"]) or None,
    },
    "grants": {
        "ID": "id",
        "FEATURE": "feature",
        "VALUE": lambda row: "DENIED" if row["denial"] else row["value"],
        "FROM": "valid_from",
        "TO": "valid_to",
        "REVOKED": "revoked_at",
        "REASON": "reason",
        "BY": "actor",
    },
    "checkout_sessions": {"ID": "id", "MODE": "mode", "STATUS": "status", "CREATED": "created_at"},
    "events": {"ID": "id", "TYPE": "type", "STATUS": "status", "CREATED": "created", "REASON": "reason"},
    "audit": {"AT": "at", "ACTOR": "actor", "ACTION": "action", "TARGET": "target", "REASON": "reason"},
}
_WHO = ("project_id", "user_id", "namespace", "version", "created_at", "changed_at")


@command(GROUP, "list", examples=["billing customer list notes"], lists=True)
def list_customers(session: Session, project: ProjectArgument) -> None:
    """The users of the project's namespace, by id."""
    columns = {
        "USER": "user_id",
        "STRIPE": "stripe_customer",
        "VERSION": "version",
        "CREATED": "created_at",
        "CHANGED": "changed_at",
    }
    show_list(session, f"{ADMIN}/customers", columns, {"project_id": project})


@command(GROUP, "show", examples=["billing customer show notes ada", "billing customer show notes ada --json"])
def show(session: Session, project: ProjectArgument, user: UserArgument) -> None:
    """What they may do, and all it rests on: subscriptions, purchases, money back, grants, events, audit."""
    answer = session.read(f"{ADMIN}/customers/{segment(project)}/{segment(user)}")
    session.show(answer, lambda document: _render(session.screen, document))


def _render(screen: Screen, page: Mapping[str, Any]) -> None:
    screen.facts(page, _WHO)
    screen.heading("entitlements")
    columns: dict[str, Column] = {
        "FEATURE": "feature",
        "VALUE": "value",
        "UNTIL": "valid_to",
        "SOURCES": lambda row: len(row["sources"]),
    }
    screen.table(page["entitlements"]["entitlements"], columns)
    for name, shown in _SECTIONS.items():
        section = page[name]
        if section["data"]:
            screen.heading(name.replace("_", " ") + (" (the latest)" if section["has_more"] else ""))
            screen.table(section["data"], shown)


def _sum_of(refunds: list[Mapping[str, Any]]) -> int:
    return sum(refund["amount"] for refund in refunds if refund["status"] not in {"failed", "canceled"})
