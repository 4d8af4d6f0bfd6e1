"""The reconciliation by its routes: started, watched, reported, approved and canceled by an operator."""

from datetime import datetime
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from billing.domain import keys
from billing.domain.drift import DriftKind
from billing.store import drifts, runs
from billing.store.connection import transaction
from billing.store.drifts import DriftRow
from tests.support.gateway import Answer
from tests.support.office import Office

START = "POST /api/v1/admin/reconcile"
RUNS = "GET /api/v1/admin/reconcile/runs"
RUN = "GET /api/v1/admin/reconcile/runs/{run_id}"
DRIFTS = RUN + "/drifts"
REPORT = RUN + "/report"
APPROVE = "POST /api/v1/admin/reconcile/runs/{run_id}/approve"
CANCEL = "POST /api/v1/admin/reconcile/runs/{run_id}/cancel"
CACHE = {"passes": ["cache"]}
COLUMNS = 9  # of the report's table of drifts


@pytest.fixture
def stocked(office: Office) -> Office:
    """Ann has bought, and everything is applied and published."""
    office.shop.buy("ann", "pro_monthly", 3)
    office.shop.apply(office.shop.events())
    return office


def age(office: Office) -> None:
    """Ann's item in the cache, made older than the store's."""
    cache = office.shop.worker.publisher.cache
    request = {
        "TableName": cache.table,
        "Key": {"pk": {"S": f"S#{keys.tag('notes')}#ann"}},
        "UpdateExpression": "SET v = :v",
        "ExpressionAttributeValues": {":v": {"N": "1"}},
    }
    cache.aws.call("UpdateItem", request)


def start(office: Office, **body: Any) -> Answer:
    return office.ask(START, body)


def waiting(office: Office, user_id: str = "ann") -> str:
    """The id of a run that would take from one customer, and may from none."""
    run_id, now = "run_w", office.shop.worker.now()
    lost = {"before": {"notes": {user_id: {"export": True}}}, "after": {"notes": {user_id: {}}}}
    with transaction(office.database_url) as connection:
        [(customer_id,)] = connection.execute("SELECT id FROM customers WHERE user_id = %s", (user_id,)).fetchall()
        runs.insert_run(
            connection,
            run_id,
            cause="operator",
            actor="ann",
            project_id=None,
            passes=["listing"],
            dry_run=False,
            max_revocations=0,
            now=now,
        )
        drifts.insert_drifts(connection, [canceled(run_id, 1, user_id, now)])
        drifts.note_drift(
            connection, run_id, 1, status="found", takes=True, effect=lost, customer_ids=[customer_id], now=now
        )
        connection.execute("UPDATE runs SET checkpoint = %s", (Jsonb({"doing": "listing", "step": "take"}),))
        runs.settle_run(connection, run_id, "waiting", drifts.count_drifts(connection, run_id), now=now)
    return run_id


def canceled(run_id: str, n: int, user_id: str | None, now: datetime) -> DriftRow:
    kind: DriftKind = "field_mismatch" if user_id else "orphan"
    before, after = {"status": "active"}, {"status": "canceled"}
    return DriftRow(run_id, n, "listing", kind, "subscription", f"sub_{n}", user_id, "notes", before, after, now)


def test_a_small_run_is_done_within_its_first_seconds(stocked: Office) -> None:
    age(stocked)

    answer = start(stocked, **CACHE)

    assert answer.status == 202
    assert (answer.body["status"], answer.body["actor"], answer.body["passes"]) == (
        "open",
        "ann the operator",
        ["cache"],
    )
    run = stocked.ask(RUN, run_id=answer.body["id"]).body
    assert (run["status"], run["drifts"], run["counts"]) == ("done", 1, {"cache_mismatch": {"repaired": 1}})
    assert run["listed"] == 1
    assert run["takes_from"] == 0
    assert run["duration_seconds"] >= 0


def test_every_pass_is_made_unless_some_are_named(stocked: Office) -> None:
    answer = start(stocked)

    run = stocked.ask(RUN, run_id=answer.body["id"]).body
    assert run["passes"] == ["events", "listing", "holdings", "cache"]
    assert (run["status"], run["drifts"]) == ("done", 0)
    assert len(run["listing_hash"]) == 64


def test_a_dry_run_finds_and_leaves(stocked: Office) -> None:
    age(stocked)

    run_id = start(stocked, dry_run=True, **CACHE).body["id"]

    [drift] = stocked.ask(DRIFTS, run_id=run_id).body["data"]
    assert (drift["status"], drift["kind"], drift["pass"]) == ("found", "cache_mismatch", "cache")
    assert (drift["user_id"], drift["project_id"]) == ("ann", "notes")
    again = start(stocked, **CACHE).body["id"]
    assert stocked.ask(RUN, run_id=again).body["counts"] == {"cache_mismatch": {"repaired": 1}}


def test_the_same_start_sent_again_is_the_same_run(stocked: Office) -> None:
    first = stocked.ask(START, CACHE, idempotency="once")
    second = stocked.ask(START, CACHE, idempotency="once")

    assert second.body == first.body
    assert second.headers["idempotent-replayed"] == "true"
    assert len(stocked.ask(RUNS).body["data"]) == 1


def test_one_run_at_a_time(stocked: Office) -> None:
    waiting(stocked)

    answer = start(stocked, **CACHE)

    assert (answer.status, answer.code, answer.body["run_id"]) == (409, "run_open", "run_w")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"passes": []}, "/passes"),
        ({"passes": ["caches"]}, "/passes/0"),
        ({"max_revocations": -1}, "/max_revocations"),
        ({"max_revocations": True}, "/max_revocations"),
        ({"project_id": "No"}, "/project_id"),
        ({"dry_run": "yes"}, "/dry_run"),
        ({"scope": "all"}, "/scope"),
    ],
)
def test_what_a_run_cannot_be_is_refused(office: Office, body: dict[str, Any], pointer: str) -> None:
    answer = office.ask(START, body)
    assert (answer.status, answer.pointers) == (422, [pointer])


def test_a_run_of_no_project_is_refused(office: Office) -> None:
    assert start(office, project_id="nowhere").code == "project_not_found"


def test_what_is_not_known_is_not_found(office: Office) -> None:
    for route in (RUN, DRIFTS, REPORT):
        assert office.ask(route, run_id="run_none").code == "run_not_found"
    for route in (APPROVE, CANCEL):
        assert office.ask(route, {"reason": "because"}, run_id="run_none").code == "run_not_found"


def test_runs_are_listed_newest_first_and_in_pages(stocked: Office) -> None:
    ids = []
    for _ in range(3):
        ids.append(start(stocked, **CACHE).body["id"])
        stocked.shop.double.control.advance_clock(advance_seconds=60)

    first = stocked.ask(RUNS, query={"limit": "2"}).body
    rest = stocked.ask(RUNS, query={"limit": "2", "cursor": first["next_cursor"]}).body

    assert [row["id"] for row in first["data"] + rest["data"]] == ids[::-1]
    assert not rest["has_more"]
    assert stocked.ask(RUNS, query={"status": "failed"}).body["data"] == []


def test_drifts_are_listed_in_pages_and_by_what_is_asked(stocked: Office) -> None:
    run_id = waiting(stocked)
    with transaction(stocked.database_url) as connection:
        rows = [canceled(run_id, n, None, stocked.shop.worker.now()) for n in range(2, 6)]
        drifts.insert_drifts(connection, rows)

    first = stocked.ask(DRIFTS, run_id=run_id, query={"limit": "3"}).body
    rest = stocked.ask(DRIFTS, run_id=run_id, query={"limit": "3", "cursor": first["next_cursor"]}).body

    assert [row["n"] for row in first["data"] + rest["data"]] == [1, 2, 3, 4, 5]
    for query, numbers in (
        ({"takes": "true"}, [1]),
        ({"takes": "false"}, [2, 3, 4, 5]),
        ({"kind": "orphan"}, [2, 3, 4, 5]),
        ({"status": "repaired"}, []),
    ):
        assert [row["n"] for row in stocked.ask(DRIFTS, run_id=run_id, query=query).body["data"]] == numbers


@pytest.mark.parametrize("cursor", ["x", "WzEuNV0=", "Wy0xXQ=="])
def test_a_cursor_that_was_not_given_is_refused(stocked: Office, cursor: str) -> None:
    run_id = waiting(stocked)
    assert stocked.ask(DRIFTS, run_id=run_id, query={"cursor": cursor}).pointers == ["?cursor"]
    assert stocked.ask(RUNS, query={"cursor": cursor}).pointers == ["?cursor"]


def test_an_approved_run_looks_afresh_and_ends(stocked: Office) -> None:
    run_id = waiting(stocked)

    answer = stocked.ask(APPROVE, {"reason": "they left"}, run_id=run_id)

    assert (answer.status, answer.body["approved_by"]) == (200, "ann the operator")
    run = stocked.ask(RUN, run_id=run_id).body
    assert (run["status"], run["drifts"]) == ("done", 0)
    assert stocked.ask(APPROVE, {"reason": "once more"}, run_id=run_id).code == "run_not_waiting"
    assert stocked.shop.check("ann", "export")["allowed"]


def test_a_canceled_run_makes_room_for_another(stocked: Office) -> None:
    run_id = waiting(stocked)

    answer = stocked.ask(CANCEL, {"reason": "wrong Stripe key"}, run_id=run_id)

    assert (answer.status, answer.body["status"]) == (200, "canceled")
    assert stocked.ask(CANCEL, {"reason": "again"}, run_id=run_id).code == "run_over"
    assert start(stocked, **CACHE).status == 202
    acts = stocked.ask("GET /api/v1/admin/audit", query={"target": run_id}).body["data"]
    assert [(act["action"], act["actor"], act["reason"]) for act in acts] == [
        ("reconcile.cancel", "ann the operator", "wrong Stripe key")
    ]


def test_a_decision_needs_a_reason(stocked: Office) -> None:
    run_id = waiting(stocked)
    for route in (APPROVE, CANCEL):
        assert stocked.ask(route, {}, run_id=run_id).pointers == ["/reason"]


def test_the_report_tells_who_would_lose_what(stocked: Office) -> None:
    answer = stocked.ask(REPORT, run_id=waiting(stocked))

    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert "# Reconciliation run_w" in answer.text
    assert "waits for a person" in answer.text
    assert "| takes from | 1 customers |" in answer.text
    assert "## Who would lose access" in answer.text
    assert "- `ann` of notes: export: `True` → `none` (`sub_1`)" in answer.text
    assert "status: `active` → `canceled`" in answer.text


def test_a_report_of_nothing_says_so(stocked: Office) -> None:
    text = stocked.ask(REPORT, run_id=start(stocked, **CACHE).body["id"]).text
    assert "None: Stripe, the store and the cache said the same." in text


@pytest.mark.parametrize("user_id", ["a|b", "`ls`", "*a*"])
def test_an_id_never_leaves_its_cell(office: Office, user_id: str) -> None:
    office.shop.customer(user_id)
    text = office.ask(REPORT, run_id=waiting(office, user_id)).text

    [row] = [line for line in text.splitlines() if line.startswith("| 1 |")]
    assert (
        row.replace("\\|", "").count("|")
        == len(("n", "kind", "object", "project", "user", "became", "d", "a", "r")) + 1
    )
    assert row.count("`") % 2 == 0


def test_a_run_that_cannot_go_on_now_is_started_all_the_same(stocked: Office) -> None:
    stocked.shop.double.control.add_fault("503", match="GET /v1/events", times=None)

    answer = start(stocked, passes=["events"])

    assert answer.status == 202
    assert stocked.ask(RUN, run_id=answer.body["id"]).body["status"] == "open"


@pytest.mark.parametrize("route", [START, RUNS, RUN, DRIFTS, REPORT, APPROVE, CANCEL])
def test_none_but_an_operator_comes_in(office: Office, route: str) -> None:
    assert office.ask(route, {"reason": "x"}, key="bk_test_no", run_id="run_1").code == "invalid_api_key"
