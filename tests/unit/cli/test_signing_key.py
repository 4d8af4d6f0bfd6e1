"""`billing signing-key`: what is sent, and what is told."""

from tests.unit.cli.terminal import URL, Terminal, ok, problem

CURRENT = {"kid": "a1", "state": "current", "created_at": "2026-11-01T10:00:00Z", "signs_from": "2026-11-01T10:00:00Z"}
NEXT = {"kid": "b2", "state": "next", "created_at": "2026-11-24T10:00:00Z", "signs_from": "2026-11-24T10:15:00Z"}


def test_each_key_is_shown_with_what_it_is_for(terminal: Terminal) -> None:
    done = terminal.replying(ok({"keys": [CURRENT, NEXT]})).run("signing-key", "show")
    assert terminal.asked[0].url == f"{URL}/api/v1/admin/signing-keys"
    assert "current" in done.stdout
    assert "next" in done.stdout


def test_a_rotation_is_one_step_with_its_reason(terminal: Terminal) -> None:
    done = terminal.replying(ok({"keys": [CURRENT, NEXT]})).run("signing-key", "rotate", "--reason", "yearly")
    assert done.exit_code == 0
    assert terminal.sent() == {"at_once": False, "reason": "yearly"}
    assert terminal.asked[0].headers["idempotency-key"]


def test_a_key_that_others_may_know_is_withdrawn_at_once(terminal: Terminal) -> None:
    done = terminal.replying(ok({"keys": [CURRENT]})).run("signing-key", "rotate", "--at-once")
    assert terminal.sent() == {"at_once": True}
    assert "verifiers forget it" in done.stderr


def test_a_rotation_under_way_is_told(terminal: Terminal) -> None:
    done = terminal.replying(problem(409, "signing_key_rotating")).run("signing-key", "rotate")
    assert done.exit_code == 1
    assert "billing signing-key show" in done.stderr
