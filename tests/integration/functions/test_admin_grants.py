"""Grants, denials and their revocation through the operators' function, a real PostgreSQL and a real DynamoDB API."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billing.domain.windows import rfc3339
from billing.store import projects
from billing.store.connection import transaction
from billing.usecases.manage_projects import create_key
from tests.support.clerk import Clerk, run_clerk

GIVE = "POST /api/v1/admin/grant"
REVOKE = "POST /api/v1/admin/revoke"
LIST = "GET /api/v1/admin/grants"
READ = "GET /api/v1/admin/grants/{grant_id}"
GIFT = {"project_id": "notes", "user_id": "ann", "feature": "export", "reason": "a gift"}


@pytest.fixture
def clerk(database_url: str, aws_endpoint: str, table_name: str) -> Iterator[Clerk]:
    with run_clerk(database_url, aws_endpoint, table_name) as running:
        yield running


def give(clerk: Clerk, **members: Any) -> dict[str, Any]:
    answer = clerk.ask(GIVE, {**GIFT, **members})
    assert answer.status == 201, answer.text
    (grant,) = answer.body["grants"]
    return dict(grant)


# --- giving --------------------------------------------------------------------------------------------------------


def test_a_grant_is_in_the_very_next_check_of_a_user_never_seen_before(clerk: Clerk) -> None:
    assert not clerk.allowed()

    grant = give(clerk)

    checked = clerk.check("ann", "export")
    assert (checked["allowed"], checked["version"]) == (True, grant["entitlements_version"])
    assert clerk.rows("SELECT count(*) FROM stripe_customers") == [(0,)]


def test_a_grant_says_all_that_was_given_by_whom_and_why(clerk: Clerk) -> None:
    now = clerk.clock
    grant = give(clerk, feature="seats", value=25, valid_to="2030-01-01T00:00:00+01:00", priority=3)
    del grant["id"], grant["entitlements_version"]
    assert grant == {
        "project_id": "notes",
        "user_id": "ann",
        "feature": "seats",
        "value": 25,
        "denial": False,
        "priority": 3,
        "valid_from": rfc3339(now),
        "valid_to": "2029-12-31T23:00:00Z",
        "state": "live",
        "reason": "a gift",
        "actor": "ann the operator",
        "created_at": rfc3339(now),
        "revoked_at": None,
        "revoked_by": None,
        "revoked_reason": None,
    }


def test_a_denial_beats_what_was_bought(clerk: Clerk) -> None:
    clerk.subscribe("ann")
    assert clerk.allowed()

    denial = give(clerk, denial=True)

    checked = clerk.check("ann", "export")
    assert (denial["value"], checked["allowed"], checked["reason"]) == (None, False, "denied")


def test_a_window_begins_and_ends_to_the_microsecond(clerk: Clerk) -> None:
    start = clerk.clock + timedelta(hours=1)
    end = start + timedelta(hours=1)
    give(clerk, valid_from=rfc3339(start), valid_to=rfc3339(end))
    tick = timedelta(microseconds=1)
    answers = [clerk.check("ann", "export", at)["allowed"] for at in (start - tick, start, end - tick, end)]
    assert answers == [False, True, True, False]


def test_a_window_may_lie_in_the_past(clerk: Clerk) -> None:
    assert give(clerk, valid_from="2020-01-01T00:00:00Z", valid_to="2020-02-01T00:00:00Z")["state"] == "ended"
    assert not clerk.allowed()


def test_a_user_of_a_shared_namespace_is_granted_in_the_one_project_named(clerk: Clerk) -> None:
    with transaction(clerk.world.database_url) as connection:
        projects.insert_project(connection, project_id="mail", name="Mail", namespace="notes", allowed_origins=[])
    clerk.rows("INSERT INTO features (project_id, code, type) VALUES ('mail', 'export', 'boolean')")
    mail = create_key(clerk.world.database_url, project_id="mail", name="mail", mode="test").secret

    give(clerk, project_id="mail")

    assert (replace(clerk, project_key=mail).allowed(), clerk.allowed()) == (True, False)
    assert clerk.rows("SELECT count(*) FROM customers") == [(1,)]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"value": 1}, "/value"),
    ({"feature": "seats"}, "/value"),
    ({"feature": "seats", "value": -1}, "/value"),
    ({"feature": "seats", "value": True}, "/value"),
    ({"feature": "seats", "value": 2**53}, "/value"),
    ({"feature": "theme"}, "/value"),
    ({"feature": "theme", "value": "x" * 9000}, "/value"),
    ({"feature": "theme", "value": {"name": "\0"}}, "/value/name"),
    ({"denial": True, "value": True}, "/value"),
    ({"valid_from": "2030-01-01T00:00:00Z", "valid_to": "2030-01-01T00:00:00Z"}, "/valid_to"),
    ({"valid_to": "2001-01-01T00:00:00Z"}, "/valid_to"),
    ({"valid_from": "2030-01-01T00:00:00"}, "/valid_from"),
    ({"valid_from": 17}, "/valid_from"),
    ({"valid_from": "0001-01-01T00:00:00+01:00"}, "/valid_from"),
    ({"user_id": ""}, "/user_id"),
    ({"reason": ""}, "/reason"),
    ({"priority": 2**40}, "/priority"),
    ({"role": "admin"}, "/role"),
    ({"actor": "eve"}, "/actor"),
    ({"id": "grant_1"}, "/id"),
    *(({member: ...}, f"/{member}") for member in GIFT),
]


def test_what_is_wrong_with_a_grant_is_told_with_its_pointer_and_nothing_is_given(clerk: Clerk) -> None:
    for members, pointer in FAULTS:
        body = {name: value for name, value in {**GIFT, **members}.items() if value is not ...}
        answer = clerk.ask(GIVE, body)
        assert (answer.status, answer.code, answer.pointers) == (422, "invalid_request", [pointer]), members
    assert clerk.rows("SELECT count(*) FROM grants") == [(0,)]


def test_an_unknown_feature_is_422_and_an_unknown_project_404(clerk: Clerk) -> None:
    unknown = clerk.ask(GIVE, {**GIFT, "feature": "nonsense"})
    assert (unknown.status, unknown.code, unknown.pointers) == (422, "feature_not_found", ["/feature"])
    assert clerk.ask(GIVE, {**GIFT, "project_id": "nowhere"}).code == "project_not_found"


def test_a_project_key_grants_nothing(clerk: Clerk) -> None:
    for route in (GIVE, REVOKE):
        assert clerk.ask(route, GIFT, key=clerk.project_key).code == "wrong_role"
    assert clerk.ask(LIST, key=clerk.project_key).status == 403


# --- many at once --------------------------------------------------------------------------------------------------


def test_a_hundred_are_given_in_one_request_each_with_its_version_and_its_cause(clerk: Clerk) -> None:
    orders = [{**GIFT, "user_id": f"user-{n % 60}", "feature": "seats", "value": 1} for n in range(100)]

    answer = clerk.ask(GIVE, {"grants": orders})

    grants = answer.body["grants"]
    assert [grant["user_id"] for grant in grants] == [order["user_id"] for order in orders]
    assert clerk.check("user-0", "seats")["value"] == 2
    assert clerk.check("user-0", "seats")["version"] == grants[0]["entitlements_version"]
    causes = clerk.rows("SELECT cause_id FROM holdings_changes WHERE cause_kind = 'grant' ORDER BY 1")
    assert [cause for (cause,) in causes] == sorted(grant["id"] for grant in grants)
    assert clerk.rows("SELECT count(*) FROM audit WHERE action = 'grant.create'") == [(100,)]


def test_one_fault_among_many_and_none_is_given(clerk: Clerk) -> None:
    good, bad = {**GIFT, "feature": "seats", "value": 1}, {**GIFT, "feature": "seats", "value": "many"}
    answer = clerk.ask(GIVE, {"grants": [good, good, good, bad]})
    assert (answer.status, answer.pointers) == (422, ["/grants/3/value"])
    assert clerk.rows("SELECT count(*) FROM grants") == [(0,)]
    assert clerk.rows("SELECT count(*) FROM customers") == [(0,)]


def test_none_and_a_hundred_and_one_are_refused_and_so_is_one_beside_many(clerk: Clerk) -> None:
    for count in (0, 101):
        assert clerk.ask(GIVE, {"grants": [GIFT] * count}).pointers == ["/grants"]
    assert clerk.ask(GIVE, {"grants": [GIFT], "reason": "x"}).pointers == ["/reason"]
    assert clerk.ask(REVOKE, {"grants": [{"grant_id": "g", "reason": "x"}], "grant_id": "g"}).pointers == ["/grant_id"]


# --- taking back ---------------------------------------------------------------------------------------------------


def test_a_revoked_grant_is_gone_from_the_very_next_check(clerk: Clerk) -> None:
    grant = give(clerk)
    assert clerk.allowed()

    (revoked,) = clerk.ask(REVOKE, {"grant_id": grant["id"], "reason": "a mistake"}).body["grants"]

    checked = clerk.check("ann", "export")
    assert (checked["allowed"], checked["version"]) == (False, revoked["entitlements_version"])
    assert (revoked["state"], revoked["revoked_by"], revoked["revoked_reason"]) == (
        "revoked",
        "ann the operator",
        "a mistake",
    )
    assert revoked["entitlements_version"] == grant["entitlements_version"] + 1


def test_all_live_grants_of_a_feature_are_revoked_at_once_and_nothing_else(clerk: Clerk) -> None:
    others: list[dict[str, Any]] = [{"feature": "seats", "value": 5}, {"user_id": "bob"}]
    for members in ({}, {"valid_from": "2099-01-01T00:00:00Z"}, *others):
        give(clerk, **members)

    answer = clerk.ask(REVOKE, GIFT)

    assert len(answer.body["grants"]) == 2
    assert [clerk.allowed(), clerk.allowed("ann", "seats"), clerk.allowed("bob")] == [False, True, True]


def test_taking_the_grants_of_a_feature_back_does_not_lift_its_denial(clerk: Clerk) -> None:
    give(clerk)
    give(clerk, denial=True)
    assert [g["denial"] for g in clerk.ask(REVOKE, GIFT).body["grants"]] == [False]
    assert clerk.check("ann", "export")["reason"] == "denied"


def test_a_denial_is_lifted_by_name(clerk: Clerk) -> None:
    give(clerk)
    give(clerk, denial=True)
    assert [g["denial"] for g in clerk.ask(REVOKE, {**GIFT, "denial": True}).body["grants"]] == [True]
    assert clerk.allowed()


@pytest.mark.parametrize("by", ["grant_id", "feature"])
def test_revoking_twice_gives_the_same_answer_and_changes_nothing_more(clerk: Clerk, by: str) -> None:
    grant = give(clerk)
    body = {"grant_id": grant["id"], "reason": "x"} if by == "grant_id" else {**GIFT, "reason": "x"}
    first = clerk.ask(REVOKE, body)
    second = clerk.ask(REVOKE, {**body, "reason": "y"})
    assert (first.status, first.text) == (second.status, second.text)
    assert clerk.rows("SELECT count(*) FROM audit WHERE action = 'grant.revoke'") == [(1,)]


def test_what_was_never_granted_is_404(clerk: Clerk) -> None:
    give(clerk, feature="seats", value=1)
    for body, pointer in (
        ({"grant_id": "grant_unknown"}, "/grant_id"),
        ({**GIFT, "user_id": "stranger"}, "/user_id"),
        (GIFT, "/user_id"),
    ):
        answer = clerk.ask(REVOKE, {**body, "reason": "x"})
        assert (answer.status, answer.code, answer.pointers) == (404, "grant_not_found", [pointer])
    assert clerk.ask(REVOKE, {**GIFT, "project_id": "nowhere"}).code == "project_not_found"


def test_one_unknown_grant_among_many_and_none_is_revoked(clerk: Clerk) -> None:
    grant = give(clerk)
    targets = [{"grant_id": grant["id"], "reason": "x"}, {"grant_id": "grant_unknown", "reason": "x"}]
    answer = clerk.ask(REVOKE, {"grants": targets})
    assert (answer.code, answer.pointers) == ("grant_not_found", ["/grants/1/grant_id"])
    assert clerk.allowed()


def test_a_revocation_says_exactly_what_it_means(clerk: Clerk) -> None:
    for body, pointers in (
        ({"reason": "x"}, ["/project_id", "/user_id", "/feature"]),
        ({"reason": "x", "user_id": "ann"}, ["/project_id", "/feature"]),
        ({"reason": "x", "grant_id": "g", "user_id": "ann"}, ["/user_id"]),
        ({"reason": "x", "grant_id": "g", "denial": True}, ["/denial"]),
        ({"grant_id": "g"}, ["/reason"]),
    ):
        assert clerk.ask(REVOKE, body).pointers == pointers


# --- sent again ----------------------------------------------------------------------------------------------------


def test_a_grant_sent_again_is_one_grant(clerk: Clerk) -> None:
    first, second = (clerk.ask(GIVE, GIFT, idempotency="gift-1") for _ in range(2))
    assert first.text == second.text
    assert second.headers["idempotent-replayed"] == "true"
    assert clerk.rows("SELECT count(*) FROM grants") == [(1,)]


def test_another_body_under_the_key_is_422(clerk: Clerk) -> None:
    clerk.ask(GIVE, GIFT, idempotency="gift-1")
    assert clerk.ask(GIVE, {**GIFT, "user_id": "bob"}, idempotency="gift-1").code == "idempotency_mismatch"


# --- reading -------------------------------------------------------------------------------------------------------


def test_grants_are_listed_newest_first_by_project_user_and_state_page_by_page(clerk: Clerk) -> None:
    made = [give(clerk, user_id=f"user-{n % 2}")["id"] for n in range(5)]
    clerk.ask(REVOKE, {"grant_id": made[4], "reason": "x"})
    give(clerk, valid_from="2099-01-01T00:00:00Z")

    def listed(**query: str) -> list[str]:
        ids: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            answer = clerk.ask(LIST, query={"limit": "2", **query, **cursor})
            ids += [grant["id"] for grant in answer.body["data"]]
            if not answer.body["has_more"]:
                return ids
            cursor = {"cursor": answer.body["next_cursor"]}

    assert len(listed()) == 6
    assert sorted(listed(project_id="notes", user_id="user-0")) == sorted(made[::2])
    assert sorted(listed(state="live")) == sorted(made[:4])
    assert listed(state="revoked", project_id="notes") == [made[4]]
    assert len(listed(state="scheduled")) == 1
    assert listed(state="ended") == listed(project_id="notes", user_id="stranger") == []


def test_one_grant_is_read_by_its_id(clerk: Clerk) -> None:
    grant = give(clerk)
    del grant["entitlements_version"]
    assert clerk.ask(READ, grant_id=grant["id"]).body == grant
    assert clerk.ask(READ, grant_id="grant_unknown").code == "grant_not_found"


def test_a_list_that_cannot_be_is_422(clerk: Clerk) -> None:
    for query, pointer in (
        ({"user_id": "ann"}, "?project_id"),
        ({"state": "dead"}, "?state"),
        ({"cursor": "nonsense"}, "?cursor"),
        ({"cursor": "WyJ4IiwieSJd"}, "?cursor"),
        ({"limit": "101"}, "?limit"),
        ({"role": "admin"}, "?role"),
    ):
        assert clerk.ask(LIST, query=query).pointers == [pointer]


def test_neither_user_nor_reason_reaches_the_log(clerk: Clerk) -> None:
    give(clerk, user_id="user-in-the-log", reason="reason-in-the-log")
    assert "grant 201" in clerk.log.getvalue()
    assert "in-the-log" not in clerk.log.getvalue()


# --- several operators at once -------------------------------------------------------------------------------------


def test_a_grant_sent_by_ten_at_once_under_one_key_is_one_grant(clerk: Clerk) -> None:
    def send(_: int) -> str:
        with clerk.colleague() as own:
            return own.ask(GIVE, GIFT, idempotency="gift-1").text

    with ThreadPoolExecutor(10) as threads:
        answers = set(threads.map(send, range(10)))

    assert len(answers) == 1
    assert clerk.rows("SELECT count(*) FROM grants") == [(1,)]


def test_grants_and_revocations_at_once_are_in_one_order_for_the_audit_and_the_versions(clerk: Clerk) -> None:
    give(clerk)

    def work(number: int) -> None:
        with clerk.colleague() as own:
            for _ in range(6):
                assert own.ask(GIVE if number % 2 else REVOKE, GIFT).status < 300

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))

    acts = clerk.rows("SELECT target FROM audit WHERE action LIKE 'grant.%' ORDER BY seq")
    changes = clerk.rows("SELECT cause_id, version FROM holdings_changes WHERE cause_kind = 'grant' ORDER BY version")
    assert [version for _, version in changes] == list(range(1, len(changes) + 1))
    assert [target for (target,) in acts] == [cause for cause, _ in changes]
    live = clerk.rows("SELECT id FROM grants WHERE revoked_at IS NULL")
    assert clerk.allowed() == bool(live)


def test_a_denial_and_a_purchase_at_once_end_in_denial(clerk: Clerk) -> None:
    for user in ("ann", "bob", "carl", "dora"):
        clerk.world.customer(user)
        start = threading.Barrier(2)

        def deny(user: str = user, start: threading.Barrier = start) -> None:
            with clerk.colleague() as own:
                start.wait(5)
                assert own.ask(GIVE, {**GIFT, "user_id": user, "denial": True}).status == 201

        def buy(user: str = user, start: threading.Barrier = start) -> None:
            with clerk.colleague() as own:
                start.wait(5)
                own.subscribe(user)

        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(deny), threads.submit(buy)]:
                done.result(10)
        assert clerk.check(user, "export")["reason"] == "denied"


def test_bulks_that_name_the_same_users_in_opposite_orders_do_not_lock_each_other_out(clerk: Clerk) -> None:
    users = [f"user-{number}" for number in range(20)]

    def send(turn: int) -> int:
        with clerk.colleague() as own:
            orders = [{**GIFT, "user_id": user} for user in (users if turn % 2 else users[::-1])]
            return own.ask(GIVE, {"grants": orders}).status

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(send, range(4))) == {201}
    assert clerk.rows("SELECT count(*) FROM grants") == [(80,)]
