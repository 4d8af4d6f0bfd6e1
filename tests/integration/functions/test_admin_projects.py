"""Projects and keys through the operators' function (FAILURES F9, G1, G2, G5, G6, G9)."""

import json
from datetime import timedelta

import pytest

from billing.domain.windows import rfc3339
from billing.store.connection import transaction
from billing.usecases.manage_projects import create_key
from functions.admin.bootstrap import MEMBER
from tests.support.office import Office
from tests.support.wire import CONTEXT

PROJECTS = "/api/v1/admin/projects"
PROJECT = PROJECTS + "/{project_id}"
KEYS = PROJECT + "/keys"
KEY = KEYS + "/{key_id}"
ADMIN_KEYS = "/api/v1/admin/keys"
BOARD = {"id": "board", "name": "Board", "allowed_origins": ["https://board.example"]}


def acts(office: Office) -> list[tuple[str, str, str]]:
    with transaction(office.database_url) as connection:
        rows = connection.execute("SELECT actor, action, target FROM audit ORDER BY chain, seq").fetchall()
    return [tuple(row) for row in rows if row[0] == "ann the operator"]


def made(office: Office, **members: object) -> str:
    answer = office.ask("POST " + KEYS, {"name": "backend", **members}, project_id="notes")
    assert answer.status == 201
    return str(answer.body["key"])


# --- projects ------------------------------------------------------------------------------------------------------


def test_a_project_is_created_read_and_listed(office: Office) -> None:
    created = office.ask("POST " + PROJECTS, BOARD)
    assert created.status == 201
    assert created.body == {**BOARD, "namespace": "board", "status": "active", "catalog_epoch": 1}
    assert office.ask("GET " + PROJECT, project_id="board").body == created.body
    assert [row["id"] for row in office.ask("GET " + PROJECTS).body["data"]] == ["board", "notes"]
    assert acts(office) == [("ann the operator", "project.create", "board")]


def test_a_project_that_exists_is_not_made_again(office: Office) -> None:
    assert office.ask("POST " + PROJECTS, {**BOARD, "id": "notes"}).code == "project_exists"
    assert acts(office) == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"id": "Board"}, "/id"),
        ({"name": ""}, "/name"),
        ({"allowed_origins": ["board.example"]}, "/allowed_origins/0"),
        ({"role": "admin"}, "/role"),
        ({"catalog_epoch": 7}, "/catalog_epoch"),
    ],
)
def test_a_project_that_is_none_is_refused_with_the_place(
    office: Office, change: dict[str, object], pointer: str
) -> None:
    answer = office.ask("POST " + PROJECTS, {**BOARD, **change})
    assert (answer.code, answer.pointers) == ("invalid_request", [pointer])


def test_what_a_change_leaves_out_stays(office: Office) -> None:
    answer = office.ask("PATCH " + PROJECT, {"name": "Paper"}, project_id="notes")
    assert answer.status == 200
    assert (answer.body["name"], answer.body["status"]) == ("Paper", "active")
    assert answer.body["allowed_origins"] == ["https://notes.example"]


def test_a_suspended_projects_keys_open_nothing_from_the_next_request_on_until_it_is_activated(office: Office) -> None:
    key = made(office)
    assert office.check("ann", "export", key).status == 200
    office.ask("PATCH " + PROJECT, {"status": "suspended", "reason": "unpaid"}, project_id="notes")
    assert office.check("ann", "export", key).code == "project_suspended"
    office.ask("PATCH " + PROJECT, {"status": "active"}, project_id="notes")
    assert office.check("ann", "export", key).status == 200


def test_an_unknown_project_is_404_on_every_route(office: Office) -> None:
    bodies: list[tuple[str, object]] = [("GET " + PROJECT, None), ("PATCH " + PROJECT, {}), ("GET " + KEYS, None)]
    for route, body in bodies:
        assert office.ask(route, body, project_id="nobody").code == "project_not_found"
    assert office.ask("POST " + KEYS, {"name": "x"}, project_id="nobody").code == "project_not_found"


# --- who asks ------------------------------------------------------------------------------------------------------


def test_a_project_key_opens_no_operators_route(office: Office) -> None:
    answer = office.ask("GET " + PROJECTS, key=made(office))
    assert (answer.status, answer.code) == (403, "wrong_role")


def test_no_key_and_a_revoked_admin_key_are_401(office: Office) -> None:
    other = office.ask("POST " + ADMIN_KEYS, {"name": "bob"}).body
    assert office.ask("GET " + PROJECTS, key=other["key"]).status == 200
    office.ask("POST " + ADMIN_KEYS + "/{key_id}/revoke", {}, key_id=other["id"])
    assert office.ask("GET " + PROJECTS, key=other["key"]).code == "invalid_api_key"
    assert office.ask("GET " + PROJECTS, key="").code == "invalid_api_key"


def test_the_last_admin_key_cannot_be_revoked(office: Office) -> None:
    [row] = office.ask("GET " + ADMIN_KEYS).body["data"]
    assert office.ask("POST " + ADMIN_KEYS + "/{key_id}/revoke", {}, key_id=row["id"]).code == "last_admin_key"
    assert office.ask("GET " + ADMIN_KEYS).status == 200


# --- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_listed_without_itself(office: Office) -> None:
    key = made(office)
    assert key.startswith("bk_test_")
    listed = office.ask("GET " + KEYS, project_id="notes")
    assert [row["name"] for row in listed.body["data"]].count("backend") == 1
    assert key not in listed.text + office.log.getvalue()
    assert set(listed.body["data"][0]) == {
        "id", "role", "project_id", "name", "mode", "created_at", "expires_at", "revoked_at",
    }  # fmt: skip


def test_a_body_gives_a_key_neither_role_nor_project_nor_itself(office: Office) -> None:
    for member, value in (("role", "admin"), ("project_id", "board"), ("mode", "live"), ("key", "bk_test_mine")):
        for route in ("POST " + KEYS, "POST " + ADMIN_KEYS):
            answer = office.ask(route, {"name": "backend", member: value}, project_id="notes")
            assert (answer.status, answer.code, answer.pointers) == (422, "invalid_request", [f"/{member}"])
    assert acts(office) == []


def test_a_change_of_a_project_leaves_alone_what_is_not_to_be_changed(office: Office) -> None:
    before = office.ask("GET " + PROJECT, project_id="notes").body
    for member, value in (("id", "board"), ("identity_namespace", "board"), ("catalog_epoch", 7), ("role", "admin")):
        answer = office.ask("PATCH " + PROJECT, {"name": "Paper", member: value}, project_id="notes")
        assert (answer.status, answer.code, answer.pointers) == (422, "invalid_request", [f"/{member}"])
    assert office.ask("GET " + PROJECT, project_id="notes").body == before


def test_a_repeat_of_its_making_makes_no_second_key_and_shows_none(office: Office) -> None:
    first = office.ask("POST " + KEYS, {"name": "backend"}, idempotency="one", project_id="notes")
    again = office.ask("POST " + KEYS, {"name": "backend"}, idempotency="one", project_id="notes")
    assert (again.status, again.body) == (201, {"id": first.body["id"], "key": None})
    assert again.headers["idempotent-replayed"] == "true"
    with transaction(office.database_url) as connection:
        kept = connection.execute("SELECT string_agg(response, '') FROM idempotency_keys").fetchone()
    assert kept is not None
    assert first.body["key"] not in kept[0]


def test_one_idempotency_key_for_two_projects_is_another_request(office: Office) -> None:
    office.ask("POST " + PROJECTS, BOARD)
    office.ask("POST " + KEYS, {"name": "backend"}, idempotency="one", project_id="notes")
    answer = office.ask("POST " + KEYS, {"name": "backend"}, idempotency="one", project_id="board")
    assert answer.code == "idempotency_mismatch"


def test_twenty_twins_at_once_make_one_key(office: Office) -> None:
    def ask(_: int) -> str:
        answer = office.ask("POST " + KEYS, {"name": "twin"}, idempotency="twin", project_id="notes")
        return str(answer.body["id"])

    assert len(set(office.together(20, ask))) == 1
    names = [row["name"] for row in office.ask("GET " + KEYS, project_id="notes").body["data"]]
    assert names.count("twin") == 1


def test_a_revoked_key_is_refused_on_the_next_request_though_it_was_cached(office: Office) -> None:
    answer = office.ask("POST " + KEYS, {"name": "backend"}, project_id="notes")
    assert office.check("ann", "export", answer.body["key"]).status == 200
    before = office.shop.worker.now()
    revoked = office.ask("POST " + KEY + "/revoke", {"reason": "leaked"}, project_id="notes", key_id=answer.body["id"])
    assert rfc3339(before) <= revoked.body["revoked_at"] <= rfc3339(office.shop.worker.now())
    assert office.check("ann", "export", answer.body["key"]).code == "invalid_api_key"
    again = office.ask("POST " + KEY + "/revoke", {}, project_id="notes", key_id=answer.body["id"])
    assert again.body == revoked.body
    assert [action for _, action, _ in acts(office)] == ["key.create", "key.revoke"]


def test_after_a_rotation_both_keys_live_until_the_overlap_is_over_exactly(office: Office) -> None:
    old = office.ask("POST " + KEYS, {"name": "backend"}, project_id="notes").body
    assert office.check("ann", "export", old["key"]).status == 200
    answer = office.ask("POST " + KEY + "/rotate", {"overlap_seconds": 60}, project_id="notes", key_id=old["id"])
    assert answer.status == 201
    end = office.shop.worker.now() + timedelta(seconds=60)
    last = end - timedelta(microseconds=1)
    assert office.check("ann", "export", old["key"], at=last).status == 200
    assert office.check("ann", "export", old["key"], at=end).code == "invalid_api_key"
    assert office.check("ann", "export", answer.body["key"], at=end).status == 200
    twice = office.ask("POST " + KEY + "/rotate", {"overlap_seconds": 999}, project_id="notes", key_id=old["id"])
    assert twice.status == 201
    assert office.check("ann", "export", old["key"], at=end).code == "invalid_api_key"


def test_a_key_that_opens_nothing_is_not_rotated(office: Office) -> None:
    key = office.ask("POST " + KEYS, {"name": "backend"}, project_id="notes").body
    office.ask("POST " + KEY + "/revoke", {}, project_id="notes", key_id=key["id"])
    assert office.ask("POST " + KEY + "/rotate", {}, project_id="notes", key_id=key["id"]).code == "key_revoked"


def test_another_projects_key_looks_like_an_unknown_one(office: Office) -> None:
    office.ask("POST " + PROJECTS, BOARD)
    theirs = office.ask("POST " + KEYS, {"name": "backend"}, project_id="board").body["id"]
    for key_id in (theirs, "key_unknown"):
        for verb in ("rotate", "revoke"):
            answer = office.ask(f"POST {KEY}/{verb}", {}, project_id="notes", key_id=key_id)
            assert (answer.status, answer.code) == (404, "key_not_found")


def test_a_key_that_would_end_before_it_begins_is_refused(office: Office) -> None:
    body = {"name": "backend", "expires_at": rfc3339(office.shop.worker.now() - timedelta(days=1))}
    assert office.ask("POST " + KEYS, body, project_id="notes").pointers == ["/expires_at"]


# --- lists ---------------------------------------------------------------------------------------------------------


def test_a_list_is_read_page_by_page_to_its_end(office: Office) -> None:
    for number in range(5):
        office.ask("POST " + PROJECTS, {**BOARD, "id": f"board-{number}"})
    seen, query = [], {"limit": "2"}
    while True:
        answer = office.ask("GET " + PROJECTS, query=query).body
        seen += [row["id"] for row in answer["data"]]
        assert len(answer["data"]) <= 2
        if not answer["has_more"]:
            break
        query = {"limit": "2", "cursor": answer["next_cursor"]}
    assert seen == [f"board-{number}" for number in range(5)] + ["notes"]
    assert answer["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"cursor": "%%%"}, {"cursor": "WzFd"}, {"surprise": "1"}],
)
def test_a_query_that_is_none_is_refused_with_its_name(office: Office, query: dict[str, str]) -> None:
    answer = office.ask("GET " + PROJECTS, query=query)
    assert (answer.code, answer.pointers) == ("invalid_request", [f"?{next(iter(query))}"])


# --- the first admin key -------------------------------------------------------------------------------------------


def test_the_first_admin_key_is_made_by_invoking_the_function_and_only_while_there_is_none(office: Office) -> None:
    refused = office.handle({MEMBER: {"name": "bob"}}, CONTEXT)
    assert refused["error"] == "admin_key_exists"
    with transaction(office.database_url) as connection:
        connection.execute("DELETE FROM api_keys WHERE role = 'admin'")
    answers = office.together(8, lambda _: office.handle({MEMBER: {"name": "bob"}}, CONTEXT))
    [first] = [answer for answer in answers if "key" in answer]
    assert office.ask("GET " + PROJECTS, key=first["key"]).status == 200
    assert first["key"] not in office.log.getvalue()


@pytest.mark.parametrize("asked", [None, "bob", {}, {"name": ""}, {"name": "a\nb"}, {"name": 7}])
def test_a_bootstrap_without_a_name_says_how_to_ask(office: Office, asked: object) -> None:
    assert office.handle({MEMBER: asked}, CONTEXT)["error"] == "invalid_request"


def test_a_key_made_elsewhere_is_an_operators_too(office: Office) -> None:
    other = create_key(office.shop.worker.database_url, project_id=None, name="carl", mode="test")
    office.ask("POST " + PROJECTS, BOARD, key=other.secret)
    line = json.loads(office.log.getvalue().splitlines()[-1])
    assert (line["key_id"], line["status"]) == (other.id, 201)
