"""`billing webhook`: the endpoint by which Stripe reaches the service, and its signing secret, which nobody sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from billing_cli.command import Session, command
from billing_cli.commands.deploy import DEPLOYMENT, WebhookUrlOption, webhook_url_of
from billing_cli.commands.projects import ReasonOption
from billing_cli.faults import Fault
from billing_cli.screen import Column

GROUP = typer.Typer(no_args_is_help=True, help="The webhook endpoint at Stripe: show, create, rotate its secret.")

_ENDPOINT = f"{DEPLOYMENT}/webhook-endpoint"


@command(GROUP, "show", examples=["billing webhook show", "billing webhook show --json"])
def show(session: Session, *, webhook_url: WebhookUrlOption = None) -> None:
    """The endpoints at the URL as Stripe has them, and the events that each is to send."""
    answer = session.read(DEPLOYMENT, {"webhook_url": webhook_url_of(session, webhook_url)})
    session.show(answer, lambda document: _show(session, document))


@command(
    GROUP, "create", examples=["billing webhook create", 'billing webhook create --reason "new account"'], writes=True
)
def create(session: Session, *, webhook_url: WebhookUrlOption = None, reason: ReasonOption = None) -> None:
    """Have Stripe send the events to this service: makes the endpoint, or mends the one there is. May be repeated.

    Its signing secret goes from Stripe into Secrets Manager; it is shown to nobody.
    """
    _take(session, "create", webhook_url, reason)


@command(
    GROUP,
    "rotate",
    examples=['billing webhook rotate --reason "yearly"', "billing webhook rotate --finish"],
    writes=True,
)
def rotate(
    session: Session,
    *,
    finish: Annotated[
        bool, typer.Option("--finish", help="The second step, a minute or more after the first: end the old one.")
    ] = False,
    webhook_url: WebhookUrlOption = None,
    reason: ReasonOption = None,
) -> None:
    """Replace the signing secret without a gap: first a second endpoint beside the old one, then the old one ends.

    In between each event comes twice, by either endpoint, and is applied once.
    """
    _take(session, "finish" if finish else "rotate", webhook_url, reason)
    if not finish:
        session.screen.note("Both secrets are good within a minute. Then: billing webhook rotate --finish")


def _take(session: Session, step: str, webhook_url: str | None, reason: str | None) -> None:
    url = webhook_url_of(session, webhook_url)
    body = {"step": step, "url": url} | ({} if reason is None else {"reason": reason})
    answer = session.write("POST", _ENDPOINT, body)
    session.show(answer, lambda document: _tell(session, document))
    if answer.document["deleted"]:
        session.screen.note("What a deleted endpoint had still to send: billing reconcile --pass events")


def _tell(session: Session, told: Mapping[str, Any]) -> None:
    for what in ("created", "mended", "deleted"):
        for endpoint_id in told[what]:
            session.screen.line(f"{what} {endpoint_id}")
    if not any(told[what] for what in ("created", "mended", "deleted")):
        session.screen.line("Nothing to change: the endpoint is as it should be.")
    session.screen.line(f"live secrets: {told['live_secrets']}")


def _show(session: Session, told: Mapping[str, Any]) -> None:
    screen = session.screen
    columns: dict[str, Column] = {
        "ID": "id",
        "ENABLED": "enabled",
        "VERSION": "api_version",
        "LACKS": lambda row: ", ".join(row["missing"]) or None,
        "TOO MUCH": lambda row: ", ".join(row["superfluous"]) or None,
    }
    screen.line(f"{told['webhook_url']} is to get, in version {told['api_version']}:")
    screen.line(" ".join(told["events"]))
    if not told["endpoints"]:
        raise Fault("Stripe has no endpoint there.", "billing webhook create")
    screen.table(told["endpoints"], columns)
