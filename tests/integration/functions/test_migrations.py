"""The migrations' function, called as CloudFormation calls it and by hand."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from types import SimpleNamespace
from typing import Any

import pytest

from billing.errors import Transient
from billing.store.connection import connect
from billing.store.migrate import level, wanted_level
from billing.store.roles import FUNCTIONS_USER
from functions.migrations.callback import Unanswered
from functions.migrations.handler import MARGIN, build
from tests.support.postgres import Databases
from tests.support.scripted_http import ScriptedServer, hang_up, reply, scripted, silence

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"


@pytest.fixture
def empty_url(databases: Databases) -> Iterator[str]:
    with databases.empty() as url:
        yield url


def context(seconds: float = 60) -> SimpleNamespace:
    """Of an invocation that has so much time for the work."""
    return SimpleNamespace(aws_request_id="req-1", get_remaining_time_in_millis=lambda: (seconds + MARGIN) * 1000)


def request(server: ScriptedServer, kind: str = "Create", **more: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": f"{server.url}/answer?signature=known-to-us",
        "StackId": "arn:stack",
        "RequestId": "r-1",
        "LogicalResourceId": "Schema",
        "ResourceProperties": {"ServiceToken": "arn:function", "Digest": "d"},
        **more,
    }


def run(url: str, event: dict[str, Any], seconds: float = 60) -> dict[str, int]:
    answer: dict[str, int] = build({"DATABASE_URL": url}, lambda _seconds: None)(event, context(seconds))
    return answer


def answers(server: ScriptedServer) -> list[dict[str, Any]]:
    return [json.loads(said.partition(b"\r\n\r\n")[2]) for said in server.requests]


def test_a_deployment_brings_the_schema_up_to_date_and_makes_the_functions_login(empty_url: str) -> None:
    with scripted(reply(b"")) as server:
        run(empty_url, request(server))

    assert answers(server) == [
        {
            "Status": "SUCCESS",
            "Reason": "",
            "PhysicalResourceId": "schema",
            "StackId": "arn:stack",
            "RequestId": "r-1",
            "LogicalResourceId": "Schema",
            "Data": {"Level": str(wanted_level())},
        }
    ]
    with connect(empty_url.replace("//billing@", f"//{FUNCTIONS_USER}@")) as functions:
        assert level(functions) == wanted_level()


def test_the_answer_goes_to_the_signed_address_without_a_type(database_url: str) -> None:
    with scripted(reply(b"")) as server:
        run(database_url, request(server, "Update", PhysicalResourceId="schema"))

    head = server.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"put /answer?signature=known-to-us http/1.1")
    assert b"content-type: \r\n" in head + b"\r\n"


def test_an_answer_that_was_not_taken_is_given_again(database_url: str) -> None:
    with scripted(hang_up(), reply(b"", 503), reply(b"")) as server:
        run(database_url, request(server))
    assert [answer["Status"] for answer in answers(server)] == ["SUCCESS"] * 3


def test_where_no_answer_is_taken_the_invocation_fails_so_that_lambda_tries_again(database_url: str) -> None:
    with scripted(*[reply(b"", 403)] * 4) as server, pytest.raises(Unanswered, match="S3"):
        run(database_url, request(server))


def test_a_database_that_does_not_come_fails_the_deployment_with_what_to_do() -> None:
    with scripted(reply(b"")) as server:
        run(NOWHERE, request(server), seconds=1)
    (answer,) = answers(server)
    assert answer["Status"] == "FAILED"
    assert "PostgreSQL did not answer" in answer["Reason"]


def test_a_migration_that_was_changed_fails_the_deployment_and_says_which(database_url: str) -> None:
    with connect(database_url) as connection:
        connection.execute("UPDATE schema_migrations SET digest = 'other' WHERE number = 1")
    with scripted(reply(b"")) as server:
        run(database_url, request(server))
    (answer,) = answers(server)
    assert answer["Status"] == "FAILED"
    assert "0001_core.sql was changed" in answer["Reason"]


def test_cloudformation_is_told_in_time_though_nothing_comes_to_an_end() -> None:
    with scripted(silence()) as database, scripted(reply(b"")) as server:
        run(f"postgresql://nobody@127.0.0.1:{database.port}/nothing", request(server), seconds=0.05)
    (answer,) = answers(server)
    assert answer["Status"] == "FAILED"
    assert "did not end in the function's time" in answer["Reason"]


def test_deleting_the_resource_touches_no_database() -> None:
    with scripted(reply(b"")) as server:
        assert run(NOWHERE, request(server, "Delete", PhysicalResourceId="schema")) == {}
    assert answers(server)[0]["Status"] == "SUCCESS"


def test_the_signed_address_is_in_no_log() -> None:
    written = io.StringIO()
    with redirect_stderr(written), scripted(reply(b"")) as server:
        run(NOWHERE, request(server), seconds=1)
    assert "schema is not up to date" in written.getvalue()
    assert "known-to-us" not in written.getvalue()


def test_by_hand_it_returns_the_level(empty_url: str) -> None:
    assert run(empty_url, {"migrate": True}) == {"level": wanted_level()}


def test_by_hand_a_failure_is_raised() -> None:
    with pytest.raises(Transient):
        run(NOWHERE, {"migrate": True}, seconds=1)


def test_any_other_event_is_refused() -> None:
    with pytest.raises(ValueError, match="invoke with"):
        run(NOWHERE, {"Records": []})


def test_a_database_that_comes_late_is_waited_for(empty_url: str) -> None:
    """RDS Proxy lets nobody in for some minutes after it was made."""
    slept: list[float] = []
    parts = empty_url.rpartition("/")

    with connect(f"{parts[0]}/postgres") as owner:
        owner.execute(f"ALTER DATABASE {parts[2]} ALLOW_CONNECTIONS false".encode())

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            owner.execute(f"ALTER DATABASE {parts[2]} ALLOW_CONNECTIONS true".encode())

        answer = build({"DATABASE_URL": empty_url}, sleep)({"migrate": True}, context())

    assert answer == {"level": wanted_level()}
    assert slept == [5.0]
