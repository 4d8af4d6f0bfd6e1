"""`billing metrics`: the business in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing_cli.api import ADMIN
from billing_cli.command import Session, command
from billing_cli.lists import show_pages
from billing_cli.screen import Screen
from billing_cli.values import instant

ROOT = typer.Typer()


@command(
    ROOT,
    "metrics",
    examples=["billing metrics", "billing metrics notes --from 2026-10-01 --to 2026-11-01 --json"],
    lists=True,
)
def metrics(
    session: Session,
    project: Annotated[str | None, typer.Argument(metavar="PROJECT", show_default="all projects")] = None,
    *,
    start: Annotated[
        str | None, typer.Option("--from", metavar="INSTANT", help="The period's start.", show_default="this month's")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="INSTANT", help="Its end, exclusive.", show_default="now")
    ] = None,
) -> None:
    """Subscriptions and recurring revenue of now; movements, purchases and refunds of a period. In minor units."""
    query = {
        "project_id": project,
        "from": start and instant("--from", start),
        "to": end and instant("--to", end),
    }
    show_pages(session, f"{ADMIN}/metrics", lambda document: _render(session.screen, document), query)


def _render(screen: Screen, report: Mapping[str, Any]) -> None:
    screen.line(f"As of {report['as_of']}; movements, purchases and refunds of {report['from']} to {report['to']}.")
    for project in report["data"]:
        screen.heading(project["project_id"])
        numbers = {**project["subscriptions"], "paying customers": project["paying_customers"], **project["live"]}
        screen.line(", ".join(f"{name} {number}" for name, number in numbers.items()))
        if project["unclear_items"]:
            screen.line(f"{project['unclear_items']} subscription items are of unknown price: MRR is wrong by them.")
        rows = [*_revenue(project), *_money(project, "purchases"), *_money(project, "refunds")]
        if rows:
            screen.table(rows, {"CURRENCY": "currency", "": "what", "AMOUNT": "amount", "NUMBER": "number"})


def _revenue(project: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for revenue in project["revenue"]:
        currency = revenue["currency"]
        rows += [{"currency": currency, "what": name.upper(), "amount": revenue[name]} for name in ("mrr", "arr")]
        rows += [
            {"currency": currency, "what": name, "amount": moved["amount"], "number": moved["customers"]}
            for name, moved in revenue["movements"].items()
            if moved["customers"]
        ]
    return rows


def _money(project: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    return [
        {"currency": money["currency"], "what": what, "amount": money["amount"], "number": money["count"]}
        for money in project[what]
    ]
