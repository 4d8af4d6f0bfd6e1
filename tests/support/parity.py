"""In what two deployments of the service differ, told so that somebody can act on it."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.deployed import Right, System

OWN_VARIABLES = {
    "AWS_ENDPOINT_URL": "The emulator's address; AWS's own are known.",
    "STRIPE_API_BASE": "The Stripe double's address; Stripe's own is known.",
}
"""Variables that a laptop's functions alone have."""

OWN_RIGHTS = {
    "ec2:CreateNetworkInterface": "The laptop has no network of its own.",
    "ec2:DescribeNetworkInterfaces": "As above.",
    "ec2:DeleteNetworkInterface": "As above.",
    "kms:Decrypt": "The laptop's secrets have no key of ours.",
    "kms:GenerateDataKey": "As above.",
    "logs:CreateLogStream": "The emulator makes logs by itself.",
    "logs:PutLogEvents": "As above.",
    "rds-db:connect": "The laptop's PostgreSQL is no part of its template.",
    "xray:PutTelemetryRecords": "The laptop has no traces.",
    "xray:PutTraceSegments": "As above.",
}
"""Actions that production's functions alone are allowed."""

MENDS = "production and the laptop are made from infra/routes.py, infra/fleet.py and infra/constructs: change it there"

SAME = ("Handler", "Runtime", "MemorySize", "Timeout", "Architectures")
"""Properties of a function that are the same wherever it runs."""


def differences(production: System, laptop: System) -> list[str]:
    """One sentence for each, none where both are the same but for the reasons above."""
    return [
        *_only("route", _told_routes(production), _told_routes(laptop)),
        *_only("function", set(production.functions), set(laptop.functions)),
        *_only("schedule", _told(production.schedules), _told(laptop.schedules)),
        *_only("right to invoke", _told(production.invokers), _told(laptop.invokers)),
        *_unequal("queue", production.queues, laptop.queues),
        *_unequal("feed of", production.feeds, laptop.feeds),
        *_unequal("table", _tables(production), _tables(laptop)),
        *(
            found
            for folder in sorted(production.functions.keys() & laptop.functions.keys())
            for found in _of_function(folder, production, laptop)
        ),
    ]


def _of_function(folder: str, production: System, laptop: System) -> Iterator[str]:
    what = f"functions/{folder}:"
    theirs = set(laptop.variables(folder)) - set(OWN_VARIABLES)
    yield from _only(f"{what} variable", set(production.variables(folder)), theirs)
    ours = {right for right in production.rights(folder) if right.action not in OWN_RIGHTS}
    yield from _only(f"{what} right", _told_rights(ours), _told_rights(laptop.rights(folder)))
    one, other = ({key: found.functions[folder].get(key) for key in SAME} for found in (production, laptop))
    yield from _unequal(f"{what} property", one, other)


def _only(what: str, production: set[str], laptop: set[str]) -> Iterator[str]:
    for each in sorted(production - laptop):
        yield f"{what} {each} is in production's templates alone: {MENDS}"
    for each in sorted(laptop - production):
        yield f"{what} {each} is in the laptop's template alone: {MENDS}"


def _unequal(what: str, production: Mapping[str, Any], laptop: Mapping[str, Any]) -> Iterator[str]:
    yield from _only(what, set(production), set(laptop))
    for name in sorted(production.keys() & laptop.keys()):
        if production[name] != laptop[name]:
            yield f"{what} {name} is {production[name]} in production, {laptop[name]} on the laptop: {MENDS}"


def _tables(system: System) -> dict[str, Any]:
    keys = ("KeySchema", "AttributeDefinitions", "TimeToLiveSpecification", "BillingMode")
    tables = system.all("AWS::DynamoDB::Table").values()
    return {str(number): {key: table.get(key) for key in keys} for number, table in enumerate(tables)}


def _told_routes(system: System) -> set[str]:
    return {f"{route.method} {route.path} to {route.function}" for route in system.routes}


def _told_rights(rights: set[Right]) -> set[str]:
    return {f"{right.action} on {right.on}" for right in rights}


def _told(found: set[Any]) -> set[str]:
    return {" ".join(each) for each in found}
