"""`billing catalog`: all a project sells and gates, as a file; planned, looked at, applied."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from billing_cli.api import ADMIN, UNFINISHED, Answer, Written
from billing_cli.command import Session, command
from billing_cli.commands.projects import ProjectArgument
from billing_cli.faults import CHANGES, Fault, Unreachable
from billing_cli.files import catalog_file
from billing_cli.lists import show_list
from billing_cli.plans import show_plan
from billing_cli.screen import Column, Screen

GROUP = typer.Typer(no_args_is_help=True, help="Catalogs as code: plan, apply, show, list, import.")

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="catalog.yaml or .json; - is standard input.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_CATALOG = f"{ADMIN}/catalog"
_MOST_PARTS = 20  # requests of half a minute


class Noun(StrEnum):
    FEATURES = "features"
    PRODUCTS = "products"
    PRICES = "prices"
    BENEFITS = "benefits"


def _amount(price: Mapping[str, Any]) -> str:
    """In minor units."""
    exact = price["unit_amount_decimal"] if price["unit_amount"] is None else price["unit_amount"]
    return str(price["tiers_mode"] or f"{exact} {price['currency']}")


def _every(price: Mapping[str, Any]) -> str | None:
    interval, count = price["recurring_interval"], price["recurring_count"]
    if interval is None:
        return None
    return str(interval) if count == 1 else f"{count} {interval}s"


_COLUMNS: Mapping[Noun, Mapping[str, Column]] = {
    Noun.FEATURES: {"CODE": "code", "TYPE": "type", "MERGE": "merge", "NAME": "name"},
    Noun.PRODUCTS: {"ID": "id", "NAME": "name", "ACTIVE": "active", "DELETED": "deleted"},
    Noun.PRICES: {
        "ID": "id",
        "PRODUCT": "product_id",
        "LOOKUP KEY": "lookup_key",
        "AMOUNT": _amount,
        "EVERY": _every,
        "ACTIVE": "active",
    },
    Noun.BENEFITS: {
        "PRODUCT": "product_id",
        "PRICE": "price_id",
        "FEATURE": "feature",
        "VALUE": "value",
        "PER UNIT": "per_unit",
    },
}


@command(
    GROUP,
    "plan",
    examples=["billing catalog plan notes catalog.yaml", "billing catalog plan notes catalog.yaml --exit-code"],
    writes=True,
)
def plan(
    session: Session,
    project: ProjectArgument,
    file: FileArgument,
    *,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 4 if there is anything to change.")] = False,
) -> None:
    """Show what the file would change, in Stripe and here, and who would gain or lose what. Changes nothing."""
    planned = _planned(session, project, catalog_file(file))
    session.show(planned, lambda document: show_plan(session.screen, document))
    if exit_code and planned.document["changes"]:
        raise typer.Exit(CHANGES)


@command(
    GROUP,
    "apply",
    examples=["billing catalog apply notes catalog.yaml", "billing catalog apply notes catalog.yaml --yes"],
    writes=True,
)
def apply(session: Session, project: ProjectArgument, file: FileArgument, *, yes: YesOption = False) -> None:
    """Show the plan, ask, and apply exactly that plan; refused if anything changed meanwhile.

    Interrupted, apply again: it goes on where it was.
    """
    document = catalog_file(file)
    planned = _planned(session, project, document)
    show_plan(session.screen, planned.document)
    if not planned.document["changes"]:
        if session.screen.as_json:
            session.screen.answer(planned.text)
        return
    if not yes:
        session.screen.ask(
            f"Apply this to {project} on {session.api.target.name}?", "Add --yes once the plan is what you want."
        )
    applied = _applied(session, project, document, planned.document)
    number = len(planned.document["changes"])
    session.show(applied, lambda _: session.screen.line(f"\nApplied: {number} changes."))


@command(GROUP, "show", examples=["billing catalog show notes > catalog.yaml"])
def show(session: Session, project: ProjectArgument) -> None:
    """The catalog as it is, as the file that would make it."""
    answer = session.read(_CATALOG, {"project_id": project})

    def render(document: Any) -> None:
        session.screen.answer(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

    session.show(answer, render)


@command(GROUP, "list", examples=["billing catalog list prices notes"], lists=True)
def list_nouns(session: Session, noun: Annotated[Noun, typer.Argument()], project: ProjectArgument) -> None:
    """Features, products, prices or benefits, those that are archived too. Amounts are in minor units."""
    show_list(session, f"{ADMIN}/{noun.value}", _COLUMNS[noun], {"project_id": project})


@command(
    GROUP,
    "import",
    examples=["billing catalog import notes --dry-run", "billing catalog import notes --product prod_abc --yes"],
    writes=True,
)
def import_products(
    session: Session,
    project: ProjectArgument,
    *,
    products: Annotated[
        list[str] | None,
        typer.Option(
            "--product",
            metavar="PRODUCT",
            help="A product's id in Stripe. May be repeated.",
            show_default="all whose metadata `project_id` is the project",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be imported.")] = False,
    yes: YesOption = False,
) -> None:
    """Bring products that Stripe has already, with their prices, into the project.

    Their metadata `feature_codes` says which boolean features they give. Afterwards `billing catalog show` has them.
    """
    body: dict[str, Any] = {"project_id": project, **({"product_ids": products} if products else {})}
    path = f"{_CATALOG}/import"
    if dry_run or not yes:
        found = session.write("POST", path, {**body, "dry_run": True}, part="-plan")
        if dry_run:
            session.show(found, lambda document: _show_import(session.screen, document))
            return
        _show_import(session.screen, found.document)
        session.screen.ask(f"Import these into {project} on {session.api.target.name}?", "Add --yes.")
    session.show(session.write("POST", path, body), lambda document: _show_import(session.screen, document))


def _planned(session: Session, project: str, document: Written) -> Answer:
    query = {"project_id": project, "dry_run": "true"}
    return session.write("PUT", _CATALOG, document, query=query, part="-plan")


def _applied(session: Session, project: str, document: Written, plan: Mapping[str, Any]) -> Answer:
    """What the plan showed and nothing else, in as many requests as it takes."""
    approved = _subjects(plan)
    for part in range(_MOST_PARTS):
        query = {"project_id": project, "plan_id": plan["plan_id"]}
        try:
            return session.write("PUT", _CATALOG, document, query=query, part=f"-{part}")
        except Unreachable as fault:
            if fault.problem is None or fault.problem.code != UNFINISHED:
                raise
        plan = _planned(session, project, document).document
        if not _subjects(plan) <= approved:
            break
        session.screen.note(f"{len(approved - _subjects(plan))} of {len(approved)} are done; going on.")
    raise Fault(f"It is partly applied: {len(plan['changes'])} changes are left.", "Plan again, look at it, and apply.")


def _subjects(plan: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(change["object"], change["key"]) for change in plan["changes"]}


def _show_import(screen: Screen, found: Mapping[str, Any]) -> None:
    columns: dict[str, Column] = {
        "PRODUCT": "id",
        "NAME": "name",
        "PRICES": "prices",
        "GIVES": lambda row: ", ".join(row["features"]) or "-",
        "": lambda row: "new" if row["imported"] else "known before",
    }
    screen.table(found["products"], columns)
    screen.note("Imported." if found["applied"] else "Nothing was changed.")
