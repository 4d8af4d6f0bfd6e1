"""Cached snapshots as they are when nobody has asked for five minutes: past their freshness."""

import time

from infra.local.deploy import session
from tests.load.parts import System

PAST = 60_000
"""Milliseconds since they were fresh: no crowd is at them, so a reader asks PostgreSQL at once."""


def age_every_other(system: System) -> int:
    """Make half of the cached snapshots old; how many. Not the keys: those of a busy project are read all the time."""
    client = session().client("dynamodb", endpoint_url=system.aws_url)
    pages = client.get_paginator("scan").paginate(
        TableName=system.deployed.table_name, ProjectionExpression="pk", ConsistentRead=True
    )
    names = sorted(item["pk"]["S"] for page in pages for item in page["Items"])
    old = [name for name in names if name.startswith("S#")][::2]
    at = str(int(time.time() * 1000) - PAST)
    for name in old:
        client.update_item(
            TableName=system.deployed.table_name,
            Key={"pk": {"S": name}},
            UpdateExpression="SET f = :at",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":at": {"N": at}},
        )
    return len(old)
