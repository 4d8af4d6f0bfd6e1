"""GET /api/v1/entitlements/explain through literal gateway events, over a shop with a real history."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.domain.windows import rfc3339
from billing.usecases.manage_projects import create_key, create_project, revoke_key
from functions.entitlements.handler import EXPLAIN, build
from tests.support.shop import Shop
from tests.support.wire import CONTEXT, rest_event

pytestmark = pytest.mark.alone

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"
LATER = timedelta(minutes=1)


@dataclass
class Door:
    """The function under test, a minute after the shop's present. Nothing listens where its table should be."""

    shop: Shop
    key: str

    def now(self) -> datetime:
        return self.shop.worker.now() + LATER

    def call(self, store: bool = True, **query: Any) -> dict[str, Any]:
        environ = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "TABLE_NAME": "none",
            "DATABASE_URL": self.shop.worker.database_url if store else NOWHERE,
        }
        asked = {"user_id": "ann", "feature": "badge", **query}
        event = rest_event(
            "GET",
            EXPLAIN,
            query={name: value for name, value in asked.items() if value is not None},
            headers={"Authorization": f"Bearer {self.key}"},
        )
        answer: dict[str, Any] = build(environ, self.now)(event, CONTEXT)
        return answer

    def told(self, **query: Any) -> dict[str, Any]:
        answer = self.call(**query)
        assert answer["statusCode"] == 200, answer
        document: dict[str, Any] = json.loads(answer["body"])
        return document

    def refused(self, status: int, **query: Any) -> dict[str, Any]:
        answer = self.call(**query)
        assert answer["statusCode"] == status, answer
        document: dict[str, Any] = json.loads(answer["body"])
        return document


def new_key(shop: Shop, project_id: str | None = "notes") -> str:
    return create_key(shop.worker.database_url, project_id=project_id, name="test", mode="test").secret


@pytest.fixture
def door(shop: Shop) -> Door:
    # the double tells whole seconds: let what the database's clock dated lie in the past
    shop.double.control.advance_clock(advance_seconds=60)
    return Door(shop, new_key(shop))


def test_the_decision_comes_with_its_rule_its_sources_and_their_causes(door: Door) -> None:
    door.shop.buy("ann", "badge")
    door.shop.apply(door.shop.events())
    told = door.told()
    assert (told["allowed"], told["value"], told["reason"], told["valid_to"]) == (True, True, "entitled", None)
    assert told["at"] == rfc3339(door.now())
    [source] = told["sources"]
    assert (source["kind"], source["product"], source["live"]) == ("purchase", "notes_badge", True)
    assert source["caused_by"]["type"] == "checkout.session.completed"
    [change] = told["changes"]
    assert change["cause"] == source["caused_by"]
    assert change["version"] == told["version"]


def test_a_past_instant_is_answered_as_it_was_known_then(door: Door) -> None:
    before = door.shop.worker.now()
    door.shop.double.control.advance_clock(advance_seconds=60)
    door.shop.buy("ann", "badge")
    door.shop.apply(door.shop.events())
    assert door.told(at=rfc3339(before))["allowed"] is False
    zoned = (before + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00"
    assert door.told(at=zoned)["at"] == rfc3339(before)
    assert door.told()["allowed"] is True


def test_nobody_may_keep_an_explanation(door: Door) -> None:
    assert door.call()["headers"]["cache-control"] == "private, max-age=0, must-revalidate"


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"user_id": None}, "?user_id"),
        ({"user_id": "a\n"}, "?user_id"),
        ({"feature": None}, "?feature"),
        ({"feature": "1st"}, "?feature"),
        ({"at": ""}, "?at"),
        ({"at": "yesterday"}, "?at"),
        ({"at": "2026-12-01T10:00:00"}, "?at"),
        ({"at": "2016-12-31T23:59:60Z"}, "?at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "?at"),
        ({"at": ["2026-12-01T10:00:00Z", "2026-12-02T10:00:00Z"]}, "?at"),
    ],
)
def test_a_query_that_is_not_valid_names_the_parameter(door: Door, query: dict[str, Any], pointer: str) -> None:
    problem = door.refused(422, **query)
    assert problem["code"] == "invalid_request"
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_the_first_and_the_last_instant_there_are_can_be_asked_about(door: Door, at: str) -> None:
    assert door.told(at=at)["allowed"] is False


def test_a_project_is_told_of_its_own_users_only(door: Door) -> None:
    door.shop.buy("ann", "badge")
    door.shop.apply(door.shop.events())
    create_project(door.shop.worker.database_url, project_id="maps", name="Maps", allowed_origins=[])
    door.key = new_key(door.shop, "maps")
    told = door.told()
    assert (told["project_id"], told["reason"]) == ("maps", "feature_not_found")
    assert (told["sources"], told["changes"]) == ([], [])


def test_an_operator_is_told_of_the_project_they_name(door: Door) -> None:
    door.shop.buy("ann", "badge")
    door.shop.apply(door.shop.events())
    own = door.told()
    door.key = new_key(door.shop, None)
    assert door.told(project_id="notes") == own
    assert door.refused(404, project_id="no-such-project")["code"] == "project_not_found"


@pytest.mark.parametrize("named", [None, "", "No Slug", "notes\0", ["notes", "notes"]])
def test_an_operator_names_one_project(door: Door, named: Any) -> None:
    door.key = new_key(door.shop, None)
    problem = door.refused(422, project_id=named)
    assert [fault["pointer"] for fault in problem["errors"]] == ["?project_id"]


@pytest.mark.parametrize("named", ["maps", "no-such-project", "NOTES", ""])
def test_a_projects_key_may_name_its_own_project_alone(door: Door, named: str) -> None:
    create_project(door.shop.worker.database_url, project_id="maps", name="Maps", allowed_origins=[])
    assert door.told(project_id="notes")["project_id"] == "notes"
    assert door.refused(403, project_id=named)["code"] == "wrong_project"


def revoked(door: Door) -> str:
    url = door.shop.worker.database_url
    made = create_key(url, project_id="notes", name="test", mode="test")
    revoke_key(door.shop.worker.publisher, "notes", made.id, door.shop.worker.now())
    return made.secret


def guessed(_door: Door) -> str:
    return "bk_test_guess"


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(revoked, 401, "invalid_api_key"), (guessed, 401, "invalid_api_key")],
)
def test_only_a_living_key_opens_it(door: Door, key: Callable[[Door], str], status: int, code: str) -> None:
    door.key = key(door)
    assert door.refused(status)["code"] == code


def test_without_postgresql_there_is_no_explanation_and_no_guess(door: Door) -> None:
    problem = door.refused(503, store=False)
    assert (problem["code"], problem["retryable"]) == ("database_unavailable", True)


def test_the_log_names_the_project_and_never_the_user(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    door.told(user_id="canary-user")
    written = capsys.readouterr().err
    assert (json.loads(written)["road"], json.loads(written)["project_id"]) == ("explain", "notes")
    assert "canary" not in written
