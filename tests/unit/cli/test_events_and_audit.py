"""The inbox, dead letters, and the audit log with its proof."""

from typing import Any

import httpx
import pytest

from tests.unit.cli.terminal import Terminal, ok, page, problem


def outcome(number: int, **members: Any) -> dict[str, Any]:
    told = {
        "event_id": f"evt_{number}",
        "previous_status": "failed",
        "status": "applied",
        "reason": None,
        "error": None,
    }
    return {**told, **members}


def test_events_are_listed_by_all_that_is_asked(terminal: Terminal) -> None:
    options = ["--status", "failed", "--type", "invoice.paid", "--object", "in_1", "--customer", "cus_1"]
    terminal.replying(page()).run("events", "list", *options, "--from", "2026-12-01", "--to", "2026-12-02")
    assert dict(terminal.asked[0].url.params) == {
        "status": "failed",
        "type": "invoice.paid",
        "object_id": "in_1",
        "customer": "cus_1",
        "received_from": "2026-12-01T00:00:00Z",
        "received_to": "2026-12-02T00:00:00Z",
        "limit": "20",
    }


def test_an_event_is_shown_with_its_payload(terminal: Terminal) -> None:
    event = {"event_id": "evt_1", "status": "failed", "payload": {"id": "evt_1", "email": "[redacted]"}}
    done = terminal.replying(ok(event)).run("events", "show", "evt_1")
    assert '"email": "[redacted]"' in done.stdout


def test_one_event_is_replayed(terminal: Terminal) -> None:
    terminal.replying(ok(outcome(1)))
    done = terminal.run("events", "replay", "evt_1", "--reason", "mended")
    assert terminal.asked[0].url.path == "/api/v1/admin/events/evt_1/replay"
    assert terminal.sent() == {"reason": "mended"}
    assert done.stdout.splitlines()[1].split() == ["evt_1", "failed", "applied", "-", "-"]
    assert terminal.run("events", "replay", "evt_1", "--reason", "mended", "--json").json == outcome(1)


def test_many_events_are_replayed_until_none_is_left_each_part_under_its_own_key(terminal: Terminal) -> None:
    terminal.replying(page(outcome(1), outcome(2), cursor="next"), page(outcome(3)))
    done = terminal.run("events", "replay", "--status", "failed", "--all", "--reason", "m", "--type", "x.y", "--json")
    assert [row["event_id"] for row in done.json["data"]] == ["evt_1", "evt_2", "evt_3"]
    first, second = terminal.sent(0), terminal.sent(1)
    assert first == {"status": "failed", "reason": "m", "type": "x.y", "limit": 100}
    assert second == {**first, "cursor": "next"}
    assert len(set(terminal.keys())) == 2


def test_a_part_of_many_says_that_there_are_more(terminal: Terminal) -> None:
    terminal.replying(page(outcome(1), cursor="next"))
    done = terminal.run("events", "replay", "--status", "failed", "--reason", "m", "--limit", "1")
    assert done.exit_code == 0
    assert "There are more" in done.stderr
    assert len(terminal.asked) == 1


def test_events_that_could_not_be_replayed_now_are_no_success(terminal: Terminal) -> None:
    terminal.replying(page(outcome(1), outcome(2, status="failed", error="stripe_unavailable")))
    done = terminal.run("events", "replay", "--status", "failed", "--reason", "m")
    assert done.exit_code == 3
    assert "stripe_unavailable" in done.stdout
    assert "1 could not be replayed now" in done.stderr


@pytest.mark.parametrize("which", [[], ["evt_1", "--status", "failed"]])
def test_which_events_has_to_be_said_once(terminal: Terminal, which: list[str]) -> None:
    assert terminal.run("events", "replay", *which, "--reason", "m").exit_code == 2
    assert terminal.asked == []


def test_dead_letters_are_counted(terminal: Terminal) -> None:
    done = terminal.replying(ok({"waiting_estimate": 3, "in_flight_estimate": 0})).run("events", "dead-letters")
    assert done.stdout.splitlines()[0].split() == ["waiting_estimate", "3"]


def test_dead_letters_are_redriven_until_none_moves(terminal: Terminal) -> None:
    moves = [ok({"moved": number, "remaining_estimate": left}) for number, left in ((100, 40), (40, 0), (0, 0))]
    done = terminal.replying(*moves).run("events", "redrive", "--all", "--reason", "db is back", "--json")
    assert done.json == {"moved": 140, "remaining_estimate": 0}
    assert len(set(terminal.keys())) == 3


def test_one_redrive_moves_so_many_at_most(terminal: Terminal) -> None:
    terminal.replying(ok({"moved": 5, "remaining_estimate": 9})).run(
        "events", "redrive", "--limit", "5", "--reason", "r"
    )
    assert [terminal.sent(place) for place in range(len(terminal.asked))] == [{"limit": 5, "reason": "r"}]


# --- audit ---------------------------------------------------------------------------------------------------------


def chain(
    project: str | None, *, ok: bool = True, complete: bool = True, at: int = 9, **members: Any
) -> dict[str, Any]:
    proof = {"project_id": project, "ok": ok, "complete": complete, "proven": f"{at}:aa", "head": "9:aa"}
    return {**proof, "broken_at": None, **members}


def verified(*chains: dict[str, Any]) -> httpx.Response:
    whole = {"ok": all(one["ok"] for one in chains), "complete": all(one["complete"] for one in chains)}
    return ok({"data": [], "has_more": False, "next_cursor": None, "verification": {**whole, "chains": list(chains)}})


def test_acts_are_listed_by_all_that_is_asked(terminal: Terminal) -> None:
    options = ["--action", "grant.create", "--target", "grant_1", "--actor", "ann"]
    terminal.replying(page()).run("audit", "list", "notes", *options)
    asked = {"project_id": "notes", "action": "grant.create", "target": "grant_1", "actor": "ann", "limit": "20"}
    assert dict(terminal.asked[0].url.params) == asked


def test_a_whole_log_is_proven_and_shows_its_heads(terminal: Terminal) -> None:
    done = terminal.replying(verified(chain(None), chain("notes"))).run("audit", "verify")
    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["(none)", "yes", "9:aa", "-"],
        ["notes", "yes", "9:aa", "-"],
    ]


def test_a_long_chain_is_proven_to_its_end_in_several_requests(terminal: Terminal) -> None:
    first = verified(chain("notes", ok=False, complete=False, at=4))
    done = terminal.replying(first, verified(chain("notes", at=9))).run("audit", "verify", "notes", "--json")
    assert done.exit_code == 0
    assert done.json["complete"] is True
    assert dict(terminal.asked[1].url.params) == {
        "project_id": "notes",
        "verify": "true",
        "verify_from": "4:aa",
        "limit": "1",
    }


def test_chains_that_one_request_had_no_time_for_are_proven_project_by_project(terminal: Terminal) -> None:
    first = verified(chain(None), chain("board", ok=False, complete=False, at=4))
    projects = page({"id": "board"}, {"id": "notes"})
    replies = first, verified(chain("board")), projects, verified(chain("notes"))
    done = terminal.replying(*replies).run("audit", "verify", "--json")
    assert done.exit_code == 0
    assert [one["project_id"] for one in done.json["chains"]] == [None, "board", "notes"]
    assert terminal.asked[-1].url.params["project_id"] == "notes"


def test_a_proof_that_gets_no_further_ends_with_3(terminal: Terminal) -> None:
    stuck = verified(chain("notes", ok=False, complete=False, at=4))
    done = terminal.replying(stuck).run("audit", "verify", "notes")
    assert done.exit_code == 3
    assert "not finished" in done.stderr


def test_a_log_that_was_altered_ends_with_1_and_names_the_place(terminal: Terminal) -> None:
    broken = chain("notes", ok=False, broken_at={"seq": 5, "kind": "edited", "detail": "its hash does not fit"})
    done = terminal.replying(verified(broken)).run("audit", "verify", "notes")
    assert done.exit_code == 1
    assert "5: its hash does not fit" in done.stdout
    assert "not as it was written" in done.stderr


def test_a_proof_may_start_from_an_entry_known_to_be_true(terminal: Terminal) -> None:
    terminal.replying(verified(chain("notes"))).run("audit", "verify", "notes", "--from", "3:bb")
    assert terminal.asked[0].url.params["verify_from"] == "3:bb"


def test_a_refused_proof_is_a_refusal(terminal: Terminal) -> None:
    assert terminal.replying(problem(422, "invalid_request")).run("audit", "verify", "--from", "x").exit_code == 1
