"""New keys are shown once, alone; whose keys is always said."""

import pytest

from tests.unit.cli.terminal import Terminal, ok, page

MADE = {"id": "key_1", "key": "bk_test_new"}
LOST = {"id": "key_1", "key": None}


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["create", "backend", "--project", "notes"], "projects/notes/keys", {"name": "backend"}),
        (
            ["create", "ann", "--admin", "--expires", "2027-12-31"],
            "keys",
            {"name": "ann", "expires_at": "2027-12-31T00:00:00Z"},
        ),
        (["rotate", "key_0", "--admin"], "keys/key_0/rotate", {"overlap_seconds": 86_400}),
        (
            ["rotate", "key_0", "--project", "notes", "--overlap", "30m"],
            "projects/notes/keys/key_0/rotate",
            {"overlap_seconds": 1800},
        ),
    ],
)
def test_a_new_key_is_alone_on_standard_output(
    terminal: Terminal, arguments: list[str], path: str, body: dict[str, object]
) -> None:
    done = terminal.replying(ok(MADE, 201)).run("key", *arguments)
    assert (done.exit_code, done.stdout) == (0, "bk_test_new\n")
    assert "shown this once" in done.stderr
    assert "bk_test_new" not in done.stderr
    assert terminal.asked[0].url.path == f"/api/v1/admin/{path}"
    assert terminal.sent() == body


def test_for_programs_the_new_key_is_in_the_json(terminal: Terminal) -> None:
    assert terminal.replying(ok(MADE, 201)).run("key", "create", "x", "--admin", "--json").json == MADE


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_key_whose_answer_was_lost_is_no_success_and_has_a_way_out(terminal: Terminal, form: list[str]) -> None:
    done = terminal.replying(ok(LOST, 201)).run("key", "create", "x", "--admin", *form)
    assert done.exit_code == 1
    assert "billing key rotate key_1" in done.stderr


def test_a_revocation_is_sent_with_its_reason(terminal: Terminal) -> None:
    done = terminal.replying(ok({"id": "key_1"})).run(
        "key", "revoke", "key_1", "--project", "notes", "--reason", "leaked"
    )
    assert done.exit_code == 0
    assert terminal.sent() == {"reason": "leaked"}


def test_keys_are_listed_by_project_or_the_operators_own(terminal: Terminal) -> None:
    terminal.replying(page())
    terminal.run("key", "list", "--project", "notes")
    terminal.run("key", "list", "--admin")
    assert [request.url.path.removeprefix("/api/v1/admin") for request in terminal.asked] == [
        "/projects/notes/keys",
        "/keys",
    ]


@pytest.mark.parametrize("whose", [[], ["--project", "notes", "--admin"]])
def test_whose_keys_has_to_be_said_once(terminal: Terminal, whose: list[str]) -> None:
    assert terminal.run("key", "list", *whose).exit_code == 2
    assert terminal.asked == []


@pytest.mark.parametrize("overlap", ["3w", "-1h", "1", "h", "1.5h"])
def test_a_duration_that_is_none_is_refused_unsent(terminal: Terminal, overlap: str) -> None:
    assert terminal.run("key", "rotate", "key_1", "--admin", f"--overlap={overlap}").exit_code == 2
    assert terminal.asked == []


@pytest.mark.parametrize("instant", ["tomorrow", "2027-13-01", "2027-12-31T00:00:00"])
def test_an_instant_that_is_none_or_has_no_offset_is_refused_unsent(terminal: Terminal, instant: str) -> None:
    assert terminal.run("key", "create", "x", "--admin", "--expires", instant).exit_code == 2
    assert terminal.asked == []
