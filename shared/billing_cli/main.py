"""The command `billing`: the operators' whole job, over HTTP."""

from __future__ import annotations

import typer

from billing_cli.command import JsonOption, ProfileOption
from billing_cli.commands import (
    audit,
    bootstrap,
    catalog,
    customers,
    deploy,
    events,
    grants,
    keys,
    metrics,
    profiles,
    projects,
    rebuild,
    runs,
    signing_key,
    status,
    webhook,
)

APP = typer.Typer(
    name="billing",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a defect shows as it is, without the values of variables
    help="Billing and entitlements for micro-apps: projects, keys, catalogs, grants, events, audit, metrics.",
    epilog="Exit codes: 0 done, 1 refused, 2 wrong usage, 3 not reachable or out of order, 4 `catalog plan "
    "--exit-code` found changes.\nSet it up by `billing profile add`, or use what `make run` runs in this folder. "
    "The operator's day: docs/operations.md.",
)

_NOUNS = {
    "project": projects.GROUP,
    "key": keys.GROUP,
    "catalog": catalog.GROUP,
    "grants": grants.GROUP,
    "customer": customers.GROUP,
    "events": events.GROUP,
    "audit": audit.GROUP,
    "runs": runs.GROUP,
    "profile": profiles.GROUP,
    "deploy": deploy.GROUP,
    "webhook": webhook.GROUP,
    "signing-key": signing_key.GROUP,
}
for _noun, _group in _NOUNS.items():
    APP.add_typer(_group, name=_noun)
for _group in (status.ROOT, grants.ROOT, metrics.ROOT, runs.ROOT, bootstrap.ROOT, rebuild.ROOT):
    APP.add_typer(_group)


@APP.callback()
def _before(profile: ProfileOption = None, as_json: JsonOption = False) -> None:
    """The options that every command has may stand before its name too; `command` reads them there."""


def main() -> None:
    APP(prog_name="billing")
