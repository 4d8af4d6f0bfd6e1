"""Runs of the reconciliation: started and watched, shown, decided."""

from typing import Any

import httpx
import pytest

from tests.unit.cli.terminal import Terminal, ok, page, problem

RUNS = "/api/v1/admin/reconcile/runs"


def run(status: str = "done", **members: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": "run_1",
        "status": status,
        "actor": "ann",
        "project_id": None,
        "passes": ["events", "listing", "cache"],
        "dry_run": False,
        "doing": None,
        "step": "end",
        "started_at": "2026-11-23T03:17:00Z",
        "finished_at": None,
        "duration_seconds": None,
        "listed": 12,
        "drifts": 0,
        "counts": {},
        "error": None,
    }
    return {**told, **members}


OPENED = run("open", step="find", listed=0)
REPAIRED = run(drifts=3, counts={"missing_local": {"repaired": 2}, "orphan": {"left": 1}}, takes_from=0)


def test_a_run_is_started_with_all_that_is_asked_and_watched_to_its_end(terminal: Terminal) -> None:
    at_work = run("open", doing="listing", step="find", listed=7)
    terminal.replying(ok(OPENED, 202), ok(at_work), ok(REPAIRED))
    options = ["--dry-run", "--project", "notes", "--pass", "listing", "--pass", "cache", "--max-revocations", "0"]

    done = terminal.run("reconcile", *options)

    assert terminal.sent(0) == {
        "dry_run": True,
        "project_id": "notes",
        "passes": ["listing", "cache"],
        "max_revocations": 0,
    }
    assert [request.url.path for request in terminal.asked[1:]] == [f"{RUNS}/run_1"] * 2
    assert terminal.pauses == [2.0]
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()[-3:]] == [
        ["DRIFT", "FOUND", "REPAIRED", "LEFT", "FAILED"],
        ["missing_local", "0", "2", "0", "0"],
        ["orphan", "0", "0", "1", "0"],
    ]


def test_nothing_is_sent_that_was_not_asked(terminal: Terminal) -> None:
    done = terminal.replying(ok(OPENED, 202)).run("reconcile", "--no-wait", "--json")
    assert terminal.sent() == {"dry_run": False}
    assert len(terminal.asked) == 1
    assert done.json == OPENED


def test_that_nothing_differs_is_said(terminal: Terminal) -> None:
    done = terminal.replying(ok(OPENED, 202), ok(run())).run("reconcile")
    assert "Nothing differs." in done.stderr


@pytest.mark.parametrize(("ended", "code"), [(REPAIRED, 4), (run(), 0)])
def test_drift_has_an_exit_code_for_who_asks(terminal: Terminal, ended: dict[str, Any], code: int) -> None:
    assert terminal.replying(ok(OPENED, 202), ok(ended)).run("reconcile", "--exit-code").exit_code == code


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (run("waiting", takes_from=31), "take access from 31 customers"),
        (run("failed", error="stripe_key_refused"), "run_1 failed: stripe_key_refused"),
    ],
)
def test_a_run_that_needs_a_person_is_no_success(terminal: Terminal, ended: dict[str, Any], said: str) -> None:
    done = terminal.replying(ok(OPENED, 202), ok(ended)).run("reconcile")
    assert done.exit_code == 1
    assert said in done.stderr


def test_another_run_at_work_is_named(terminal: Terminal) -> None:
    done = terminal.replying(problem(409, "run_open", detail="run_9 is waiting")).run("reconcile")
    assert done.exit_code == 1
    assert "run_9 is waiting" in done.stderr
    assert "billing runs cancel RUN" in done.stderr


def test_runs_are_listed(terminal: Terminal) -> None:
    done = terminal.replying(page(run(dry_run=True))).run("runs", "list", "--status", "done")
    assert dict(terminal.asked[0].url.params) == {"status": "done", "limit": "20"}
    assert done.stdout.splitlines()[1].split()[:3] == ["run_1", "done", "(dry)"]


def test_a_run_is_shown_with_its_drifts(terminal: Terminal) -> None:
    drift = {"n": 1, "kind": "orphan", "object_type": "customer", "object_id": "cus_1", "status": "left"}
    terminal.replying(ok(REPAIRED), page(drift))
    done = terminal.run("runs", "show", "run_1", "--takes")
    assert terminal.asked[1].url.path == f"{RUNS}/run_1/drifts"
    assert terminal.asked[1].url.params["takes"] == "true"
    assert done.stdout.splitlines()[-1].split()[:4] == ["1", "orphan", "customer", "cus_1"]


def test_a_report_is_the_services_own_text(terminal: Terminal) -> None:
    terminal.replying(httpx.Response(200, text="# Reconciliation run_1\n", headers={"content-type": "text/markdown"}))
    assert terminal.run("runs", "report", "run_1").stdout == "# Reconciliation run_1\n"


def test_a_report_that_there_is_not_says_so(terminal: Terminal) -> None:
    done = terminal.replying(problem(404, "run_not_found")).run("runs", "report", "run_2")
    assert done.exit_code == 1
    assert "billing runs list" in done.stderr


def test_a_report_for_programs_has_every_drift(terminal: Terminal) -> None:
    terminal.replying(ok(run()), page({"n": 1}, cursor="next"), page({"n": 2}))
    done = terminal.run("runs", "report", "run_1", "--json")
    assert done.json == {**run(), "evidence": [{"n": 1}, {"n": 2}]}


def test_a_waiting_run_is_approved_and_watched(terminal: Terminal) -> None:
    terminal.replying(ok(OPENED), ok(run()))
    done = terminal.run("runs", "approve", "run_1", "--reason", "they left")
    assert (terminal.asked[0].url.path, terminal.sent(0)) == (f"{RUNS}/run_1/approve", {"reason": "they left"})
    assert done.exit_code == 0


def test_a_run_is_canceled(terminal: Terminal) -> None:
    done = terminal.replying(ok(run("canceled"))).run("runs", "cancel", "run_1", "--reason", "wrong key")
    assert (terminal.asked[0].url.path, terminal.sent()) == (f"{RUNS}/run_1/cancel", {"reason": "wrong key"})
    assert done.exit_code == 0
