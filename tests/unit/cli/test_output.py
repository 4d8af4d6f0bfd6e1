"""What is shown, to people and to programs; and the help."""

import re
from pathlib import Path

import pytest

from tests.unit.cli.terminal import KEY, Terminal, commands, ok, page, problem

PROJECT = {"id": "notes", "name": "Notes", "namespace": "notes", "status": "active", "catalog_epoch": 1}
PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
COMMANDS = {" ".join(words) for words, _ in commands()}


def test_people_get_a_table_without_colours_where_no_terminal_is(terminal: Terminal) -> None:
    done = terminal.replying(page(PROJECT)).run("project", "list")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["ID", "NAME", "NAMESPACE", "STATUS", "EPOCH"],
        ["notes", "Notes", "notes", "active", "1"],
    ]


def test_a_long_row_stays_on_one_line_for_the_programs_behind_a_pipe(terminal: Terminal) -> None:
    done = terminal.replying(page({**PROJECT, "name": "x" * 500})).run("project", "list")
    assert len(done.stdout.splitlines()) == 2


def test_what_came_from_elsewhere_can_neither_style_nor_steer_the_terminal(terminal: Terminal) -> None:
    done = terminal.replying(page({**PROJECT, "name": "[red]x[/red]\x1b]0;owned\x07\u202e"})).run("project", "list")
    assert "[red]x[/red]\\x1b]0;owned\\x07\\u202e" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_problem_of_a_refusal_is_escaped_too(terminal: Terminal) -> None:
    done = terminal.replying(problem(404, "project_not_found", detail="\x1b[2J")).run("project", "show", "x")
    assert "\x1b" not in done.stderr


def test_an_empty_list_says_so_on_standard_error(terminal: Terminal) -> None:
    done = terminal.replying(page()).run("project", "list")
    assert (done.stdout, done.stderr) == ("", "None.\n")


def test_a_page_that_is_not_the_last_says_how_to_go_on(terminal: Terminal) -> None:
    done = terminal.replying(page(PROJECT, cursor="abc")).run("project", "list", "--limit", "1")
    assert "--cursor abc" in done.stderr
    assert terminal.asked[0].url.params["limit"] == "1"


def test_all_pages_are_read_to_the_last_and_told_as_one(terminal: Terminal) -> None:
    pages = [page({"id": "a"}, cursor="one"), page({"id": "b"}, cursor="two"), page({"id": "c"})]
    done = terminal.replying(*pages).run("project", "list", "--all", "--json")
    assert done.json == {"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "has_more": False, "next_cursor": None}
    assert [request.url.params.get("cursor") for request in terminal.asked] == [None, "one", "two"]
    assert {request.url.params["limit"] for request in terminal.asked} == {"100"}


def test_json_is_all_that_is_on_standard_output(terminal: Terminal) -> None:
    waited = [problem(503, "contended", retryable=True), page(PROJECT, cursor="abc")]
    done = terminal.replying(*waited).run("project", "list", "--json")
    assert done.json["data"] == [PROJECT]
    assert "try 2 of 5" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["create", "notes"], {"id": "notes", "name": "notes", "allowed_origins": []}),
        (
            ["create", "b", "--name", "B", "--origin", "https://b.example", "--namespace", "a"],
            {"id": "b", "name": "B", "allowed_origins": ["https://b.example"], "identity_namespace": "a"},
        ),
        (["update", "notes", "--no-origins", "--reason", "moved"], {"allowed_origins": [], "reason": "moved"}),
        (["update", "notes", "--name", "N"], {"name": "N"}),
        (["suspend", "notes"], {"status": "suspended"}),
        (["activate", "notes", "--reason", "paid"], {"status": "active", "reason": "paid"}),
    ],
)
def test_what_is_typed_about_a_project_is_what_is_sent(
    terminal: Terminal, arguments: list[str], body: dict[str, object]
) -> None:
    assert terminal.replying(ok(PROJECT)).run("project", *arguments).exit_code == 0
    assert terminal.sent() == body


def test_a_projects_members_are_shown_one_a_line(terminal: Terminal) -> None:
    done = terminal.replying(ok(PROJECT)).run("project", "show", "notes")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert (lines[0], len(lines)) == (["id", "notes"], len(PROJECT))


@pytest.mark.parametrize("arguments", [[], ["--origin", "https://x.example", "--no-origins"]])
def test_an_update_of_nothing_or_of_both_is_refused_unsent(terminal: Terminal, arguments: list[str]) -> None:
    assert terminal.run("project", "update", "notes", *arguments).exit_code == 2
    assert terminal.asked == []


# --- help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_command_has_help_with_examples_of_itself(terminal: Terminal, words: str) -> None:
    done = terminal.run(*words.split(), "--help")
    assert done.exit_code == 0
    assert f"billing {words}" in done.stdout.partition("Examples:")[2]
    assert "--json" in done.stdout
    assert "--profile" in done.stdout


def test_every_command_that_writes_takes_an_idempotency_key() -> None:
    reading = {
        "list",
        "show",
        "status",
        "metrics",
        "verify",
        "dead-letters",
        "use",
        "add",
        "remove",
        "bootstrap",
        "report",
        "check",
    }
    for words, callback in commands():
        takes = "idempotency_key" in callback.__annotations__
        assert takes == (words[-1] not in reading), words


def test_a_wrong_word_is_2_and_the_right_one_is_named(terminal: Terminal) -> None:
    done = terminal.run("project", "crate", "x")
    assert done.exit_code == 2
    assert "create" in done.stderr


def test_the_operators_page_names_commands_that_there_are() -> None:
    named = re.findall(r"billing(?: --profile \w+)? ([a-z-]+)(?:\s+([a-z-]+))?", PAGE.read_text(encoding="utf-8"))
    called = [(one, other) for one, other in named if one in {words.partition(" ")[0] for words in COMMANDS}]
    assert len(called) > 20
    for one, other in called:
        assert one in COMMANDS or f"{one} {other}" in COMMANDS, f"billing {one} {other}"


def test_the_key_is_in_no_text_of_a_session(terminal: Terminal) -> None:
    done = terminal.replying(problem(503, "contended", retryable=True)).run("key", "create", "x", "--admin")
    assert KEY not in done.stdout + done.stderr
