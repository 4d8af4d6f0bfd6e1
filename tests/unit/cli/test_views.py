"""The customer page, the metrics and the status, as people see them."""

from typing import Any

import httpx
import pytest

from tests.unit.cli.terminal import URL, Terminal, ok, page, problem

BOUGHT = {"price_id": "price_1", "lookup_key": "pro", "quantity": 1}


def section(*rows: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"data": list(rows), "has_more": has_more}


def customer() -> dict[str, Any]:
    items = section({**BOUGHT, "quantity": 30, "period_end": "2026-12-01T00:00:00Z"})
    subscription = {"id": "sub_1", "status": "active", "items": items, "cancel_at": None, "ended_at": None}
    purchase = {**BOUGHT, "lookup_key": None, "session_id": "cs_1", "amount": 900, "currency": "eur", "paid_at": None}
    refunds = section({"amount": 300, "status": "succeeded"}, {"amount": 500, "status": "failed"})
    charge = {
        "id": "ch_1",
        "amount": 900,
        "currency": "eur",
        "refunds": refunds,
        "disputes": section({"status": "won"}),
    }
    entitlement = {"feature": "export", "value": True, "valid_to": None, "sources": [{}, {}]}
    empty = ("stripe_customers", "grants", "checkout_sessions", "audit")
    return {
        "project_id": "notes",
        "user_id": "ada",
        "subscriptions": section(subscription),
        "purchases": section(purchase, has_more=True),
        "charges": section(charge),
        "events": section({"id": "evt_1", "type": "charge.refunded", "status": "applied"}),
        **{name: section() for name in empty},
        "entitlements": {"entitlements": [entitlement]},
    }


def test_a_customer_is_shown_with_what_they_may_and_what_it_rests_on(terminal: Terminal) -> None:
    shown = terminal.replying(ok(customer())).run("customer", "show", "notes", "ada").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["export", "yes", "-", "2"] in lines
    assert ["sub_1", "active", "30", "x", "pro", "2026-12-01T00:00:00Z", "-", "-"] in lines
    assert ["cs_1", "price_1", "900", "eur", "-"] in lines
    assert ["ch_1", "900", "eur", "300", "won"] in lines
    assert ["purchases", "(the", "latest)"] in lines
    assert "checkout sessions" not in shown


def test_customers_are_listed_by_project(terminal: Terminal) -> None:
    done = terminal.replying(page({"user_id": "ada", "version": 3})).run("customer", "list", "notes")
    assert terminal.asked[0].url.params["project_id"] == "notes"
    assert "ada" in done.stdout


def metrics(**members: Any) -> dict[str, Any]:
    moved = {name: {"customers": 0, "amount": 0} for name in ("expansion", "churn")}
    revenue = {
        "currency": "eur",
        "mrr": 900,
        "arr": 10800,
        "movements": {"new": {"customers": 2, "amount": 900}, **moved},
    }
    project = {
        "project_id": "notes",
        "subscriptions": {"active": 2, "trialing": 1},
        "paying_customers": 2,
        "unclear_items": 0,
        "revenue": [revenue],
        "live": {"grants": 4, "denials": 0},
        "purchases": [{"currency": "usd", "count": 3, "amount": 300}],
        "refunds": [],
        **members,
    }
    return {"as_of": "now", "from": "start", "to": "end", "data": [project], "has_more": False, "next_cursor": None}


def test_metrics_show_revenue_by_currency_and_only_what_moved(terminal: Terminal) -> None:
    shown = terminal.replying(ok(metrics())).run("metrics", "notes", "--from", "2026-11-01").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert "active 2, trialing 1, paying customers 2, grants 4, denials 0" in shown
    assert lines[-4:] == [
        ["eur", "MRR", "900", "-"],
        ["eur", "ARR", "10800", "-"],
        ["eur", "new", "900", "2"],
        ["usd", "purchases", "300", "3"],
    ]
    assert terminal.asked[0].url.params["from"] == "2026-11-01T00:00:00Z"


def test_metrics_warn_of_what_they_cannot_count(terminal: Terminal) -> None:
    shown = terminal.replying(ok(metrics(unclear_items=2, revenue=[], purchases=[]))).run("metrics").stdout
    assert "2 subscription items are of unknown price" in shown
    assert "CURRENCY" not in shown


# --- status --------------------------------------------------------------------------------------------------------

ALIVE = ok({"status": "alive"})
READY = ok({"status": "ready", "checks": {"postgresql": "ok", "dynamodb": "ok"}})
NOT_READY = problem(503, "not_ready", retryable=True, checks={"postgresql": "refused", "dynamodb": "ok"})


def test_all_well_is_0_with_each_part_named(terminal: Terminal) -> None:
    done = terminal.replying(ALIVE, READY, page()).run("status", "--json")
    assert done.exit_code == 0
    assert done.json == {
        "profile": "BILLING_URL",
        "url": URL,
        "ready": True,
        "checks": {"alive": "ok", "postgresql": "ok", "dynamodb": "ok", "admin key": "ok"},
    }
    assert [request.url.path for request in terminal.asked] == ["/healthz", "/ready", "/api/v1/admin/projects"]


@pytest.mark.parametrize("place", [0, 1])
def test_the_probes_carry_no_key(terminal: Terminal, place: int) -> None:
    terminal.replying(ALIVE, READY, page()).run("status")
    assert "Authorization" not in terminal.asked[place].headers


@pytest.mark.parametrize(
    ("replies", "told"),
    [
        ([ALIVE, NOT_READY, page()], "refused"),
        ([httpx.Response(502, text="no"), READY, page()], "answers 502"),
        ([ALIVE, READY, problem(401, "invalid_api_key")], "invalid_api_key"),
        ([ALIVE, READY, httpx.ReadTimeout("slow")], "does not answer"),
    ],
)
def test_a_part_that_does_not_work_is_3_and_told(terminal: Terminal, replies: list[Any], told: str) -> None:
    done = terminal.replying(*replies).run("status")
    assert done.exit_code == 3
    assert told in done.stdout


def test_nobody_there_is_3_at_once(terminal: Terminal) -> None:
    done = terminal.replying(httpx.ConnectError("refused")).run("status")
    assert (done.exit_code, len(terminal.asked)) == (3, 1)
