"""/healthz says the function runs; /ready says what of its parts does not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from billing.store.connection import close, transaction
from functions.health.handler import HEALTHZ, READY, build
from tests.support.postgres import Databases
from tests.support.wire import CONTEXT, rest_event

pytestmark = pytest.mark.alone

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


@pytest.fixture
def environ(database_url: str, aws_endpoint: str, table_name: str) -> Iterator[dict[str, str]]:
    yield {
        "DATABASE_URL": database_url,
        "TABLE_NAME": table_name,
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    close(database_url)


def asked(environ: dict[str, str], route: str) -> tuple[int, dict[str, Any]]:
    answer = build(environ)(rest_event("GET", route), CONTEXT)
    assert answer["headers"]["cache-control"] == "no-store"
    return answer["statusCode"], json.loads(answer["body"])


def failing(document: dict[str, Any]) -> set[str]:
    assert document["code"] == "not_ready"
    return {name for name, state in document["checks"].items() if state != "ok"}


def test_everything_in_place_is_ready(environ: dict[str, str]) -> None:
    parts = {"postgresql": "ok", "migrations": "ok", "dynamodb": "ok"}
    assert asked(environ, READY) == (200, {"status": "ready", "checks": parts})


def test_the_function_is_alive_though_everything_behind_it_is_down(environ: dict[str, str]) -> None:
    down = {**environ, "DATABASE_URL": NOWHERE, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    assert asked(down, HEALTHZ) == (200, {"status": "alive"})


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        ({"DATABASE_URL": NOWHERE}, {"postgresql", "migrations"}),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {"dynamodb"}),
        ({"TABLE_NAME": "no-such-table"}, {"dynamodb"}),
        ({"DATABASE_URL": NOWHERE, "TABLE_NAME": "no-such-table"}, {"postgresql", "migrations", "dynamodb"}),
    ],
)
def test_what_fails_is_named(environ: dict[str, str], broken: dict[str, str], names: set[str]) -> None:
    status, document = asked({**environ, **broken}, READY)
    assert status == 503
    assert failing(document) == names
    assert all(name in document["detail"] for name in names)
    assert "127.0.0.1" not in json.dumps(document)


def test_a_schema_that_is_behind_this_release_is_not_ready(environ: dict[str, str]) -> None:
    with transaction(environ["DATABASE_URL"]) as connection:
        connection.execute("UPDATE schema_migrations SET number = number - 1000")
    status, document = asked(environ, READY)
    assert (status, failing(document)) == (503, {"migrations"})
    assert "run the migrations" in document["checks"]["migrations"]


def test_a_schema_of_the_next_release_is_ready_for_this_one(environ: dict[str, str]) -> None:
    with transaction(environ["DATABASE_URL"]) as connection:
        connection.execute("UPDATE schema_migrations SET number = number + 1000")
    assert asked(environ, READY)[0] == 200


def test_a_database_that_was_never_migrated_is_not_ready(environ: dict[str, str], databases: Databases) -> None:
    with databases.empty() as empty:
        status, document = asked({**environ, "DATABASE_URL": empty}, READY)
        close(empty)
    assert (status, failing(document)) == (503, {"migrations"})


def test_another_route_is_not_found(environ: dict[str, str]) -> None:
    answer = build(environ)(rest_event("GET", "/metrics"), CONTEXT)
    assert answer["statusCode"] == 404
