"""Handlers that do not import their operations, and real answers: all is as docs/openapi.json tells."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from billing.domain.windows import rfc3339
from billing.usecases.manage_projects import create_key
from functions.entitlements import handler as entitlements
from functions.entitlements import operations as told
from functions.health import handler as health
from functions.health import operations as open_to_all
from infra.openapi import DOCUMENT
from tests.support.contract import fault_of
from tests.support.gateway import Answer, ask
from tests.support.office import Office

NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Window:
    """The functions of checks and of health, and a key of project `notes`."""

    office: Office
    key: str

    def ask(self, route: str, body: object = None, **query: str) -> Answer:
        headers = {"If-None-Match": query.pop("etag")} if "etag" in query else None
        handle = entitlements.build(self.office.environ, self.office.shop.worker.now)
        return ask(handle, route, body, key=self.key, query=query, headers=headers)

    def health(self, route: str, **broken: str) -> Answer:
        return ask(health.build({**self.office.environ, **broken}), route)


@pytest.fixture
def window(office: Office) -> Window:
    return Window(office, create_key(office.database_url, project_id="notes", name="test", mode="test").secret)


def sell(office: Office) -> None:
    """Ann has bought the badge, pays pro, was given seats for a week, and is denied export."""
    shop = office.shop
    shop.buy("ann", "badge")
    shop.buy("ann", "pro_monthly")
    shop.apply(shop.events())
    until = rfc3339(shop.worker.now() + timedelta(days=7))
    grants: list[Mapping[str, Any]] = [
        {"feature": "seats", "value": 9, "valid_to": until},
        {"feature": "export", "denial": True},
    ]
    given = [{"project_id": "notes", "user_id": "ann", "reason": "a test", **grant} for grant in grants]
    assert office.ask("POST /api/v1/admin/grant", {"grants": given}).status == 201
    shop.double.control.advance_clock(advance_seconds=60)


def test_what_is_said_of_a_user_with_a_source_of_each_kind_is_as_told(window: Window) -> None:
    sell(window.office)
    for operation in (told.CHECK, told.EXPLAIN):
        for feature in ("badge", "export", "seats", "nothing-there"):
            answer = window.ask(operation.route, user_id="ann", feature=feature)
            assert (answer.status, fault_of(operation.route, answer)) == (200, None)
    listed = window.ask(told.LIST.route, user_id="ann")
    assert (listed.status, fault_of(told.LIST.route, listed)) == (200, None)
    kinds = {source["kind"] for held in listed.body["entitlements"] for source in held["sources"]}
    assert kinds == {"subscription_item", "purchase", "grant"}
    again = window.ask(told.LIST.route, user_id="ann", etag=listed.headers["etag"])
    assert (again.status, fault_of(told.LIST.route, again)) == (304, None)
    checks = [{"user_id": user, "feature": "badge"} for user in ("ann", "nobody")]
    batch = window.ask(told.CHECK_BATCH.route, {"checks": checks})
    assert (batch.status, fault_of(told.CHECK_BATCH.route, batch)) == (200, None)


def test_a_refusal_is_as_told(window: Window) -> None:
    asked: list[tuple[int, str, Any, dict[str, str]]] = [
        (422, told.CHECK.route, None, {"user_id": "ann"}),
        (403, told.EXPLAIN.route, None, {"user_id": "ann", "feature": "badge", "project_id": "other"}),
        (400, told.CHECK_BATCH.route, "{", {}),
        (413, told.CHECK_BATCH.route, " " * (told.CHECK_BATCH.largest + 1), {}),
    ]
    for status, route, body, query in asked:
        answer = window.ask(route, body, **query)
        assert (answer.status, fault_of(route, answer)) == (status, None)


def test_health_is_as_told_and_serves_what_it_tells(window: Window) -> None:
    answers = {operation.route: window.health(operation.route) for operation in open_to_all.OPERATIONS}
    for route, answer in answers.items():
        assert (answer.status, fault_of(route, answer)) == (200, None)
    broken = window.health(open_to_all.READY.route, AWS_ENDPOINT_URL=NOWHERE)
    assert (broken.status, fault_of(open_to_all.READY.route, broken)) == (503, None)
    assert answers[open_to_all.CONTRACT.route].body == json.loads(DOCUMENT.read_text(encoding="utf-8"))


def test_what_is_not_told_is_noticed() -> None:
    """The tests above can fail."""
    problem = {"content-type": "application/problem+json"}
    alive = {"content-type": "application/json"}
    route = open_to_all.ALIVE.route
    assert fault_of(route, Answer(200, alive, '{"status":"alive"}')) is None
    assert "additional" in str(fault_of(route, Answer(200, alive, '{"status":"alive","more":1}'))).lower()
    assert fault_of(route, Answer(418, alive, "{}")) == "status 418"
    assert fault_of(route, Answer(200, problem, "{}")) == "media type application/problem+json"
    assert fault_of(route, Answer(500, problem, '{"status":500,"code":"novel"}')) == "code novel"
