"""`billing rebuild` goes on until it is done, and says what was left out."""

from typing import Any

import httpx

from tests.unit.cli.terminal import Terminal, ok, problem

STAGES = ["products", "prices", "customers"]


def rebuild(status: str, stage: str, **members: Any) -> httpx.Response:
    document = {
        "id": "rebuild_1",
        "status": status,
        "takes_from": 0,
        "stage": stage,
        "stages": STAGES,
        "counts": {"products": {"taken": 2, "foreign": 1}},
        "left_out": [],
        "actor": "ann",
        "started_at": "2026-12-01T00:00:00Z",
        "changed_at": "2026-12-01T00:00:09Z",
        "finished_at": None,
    }
    return ok({**document, **members})


def test_it_asks_until_it_is_done_each_time_with_another_key(terminal: Terminal) -> None:
    replies = rebuild("open", "products"), rebuild("open", "customers"), rebuild("done", "customers")

    done = terminal.replying(*replies).run("rebuild", "--idempotency-key", "key")

    assert done.exit_code == 0
    assert terminal.keys() == ["key-0", "key-1", "key-2"]
    assert terminal.sent() == {"into_nonempty": False}
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["products", "2", "-", "1", "-", "-", "-"] in lines


def test_what_was_left_out_is_shown_with_why(terminal: Terminal) -> None:
    left = {"stage": "products", "id": "prod_1", "code": "unknown_project", "detail": "it names project tasks"}

    done = terminal.replying(rebuild("done", "customers", left_out=[left])).run("rebuild")

    assert "prod_1" in done.stdout
    assert "it names project tasks" in done.stdout


def test_its_state_is_read_without_going_on(terminal: Terminal) -> None:
    done = terminal.replying(rebuild("open", "customers")).run("rebuild", "--status")

    assert [request.method for request in terminal.asked] == ["GET"]
    assert "goes on" in done.stderr


def test_programs_get_the_last_answer(terminal: Terminal) -> None:
    done = terminal.replying(rebuild("open", "products"), rebuild("done", "customers")).run("rebuild", "--json")

    assert done.json["status"] == "done"


def test_a_store_with_sales_is_refused_with_what_to_do(terminal: Terminal) -> None:
    refused = problem(409, "store_not_empty")

    assert terminal.replying(refused).run("rebuild").exit_code == 1
    assert terminal.replying(rebuild("done", "customers")).run("rebuild", "--into-nonempty").exit_code == 0
    assert terminal.sent() == {"into_nonempty": True}


def test_one_that_waits_says_what_to_do(terminal: Terminal) -> None:
    waits = terminal.replying(rebuild("waiting", "products", takes_from=12)).run("rebuild", "--into-nonempty")

    assert waits.exit_code == 1
    assert "12 customers" in waits.stderr
    assert "--approve" in waits.stderr


def test_an_approved_one_is_driven_to_its_end(terminal: Terminal) -> None:
    replies = rebuild("open", "products"), rebuild("done", "customers")

    done = terminal.replying(*replies).run("rebuild", "--approve", "refunded last year", "--idempotency-key", "key")

    assert done.exit_code == 0
    assert [request.url.path.rsplit("/", 1)[-1] for request in terminal.asked] == ["approve", "rebuild"]
    assert terminal.keys() == ["key-approve", "key-0"]


def test_one_that_waits_can_be_ended(terminal: Terminal) -> None:
    over = terminal.replying(rebuild("canceled", "products")).run("rebuild", "--cancel", "the wrong key")

    assert over.exit_code == 0
    assert terminal.sent() == {"reason": "the wrong key"}
