"""Grants one at a time, and many out of a file."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.terminal import Terminal, ok, page, problem


def held(number: int = 1, **members: Any) -> dict[str, Any]:
    grant = {"id": f"grant_{number}", "project_id": "notes", "user_id": "ada", "feature": "export", "value": True}
    window = {"state": "live", "valid_from": "2026-11-23T10:00:00.123456Z", "valid_to": None}
    return {**grant, **window, "denial": False, "reason": "press", "actor": "ann", "entitlements_version": 7, **members}


def changed(*grants: dict[str, Any]) -> Any:
    return ok({"grants": list(grants or (held(),))}, 201)


ASKED = {"project_id": "notes", "user_id": "ada", "feature": "export", "reason": "r"}


@pytest.mark.parametrize(
    ("options", "members"),
    [
        ([], {}),
        (["--value", "5000"], {"value": 5000}),
        (["--value", "unlimited"], {"value": "unlimited"}),
        (["--value", '{"theme": "dark"}'], {"value": {"theme": "dark"}}),
        (["--deny"], {"denial": True}),
        (["--priority", "3"], {"priority": 3}),
        (
            ["--from", "2027-01-01", "--to", "2027-02-01T12:00:00+01:00"],
            {"valid_from": "2027-01-01T00:00:00Z", "valid_to": "2027-02-01T12:00:00+01:00"},
        ),
    ],
)
def test_what_is_typed_about_a_grant_is_what_is_sent(
    terminal: Terminal, options: list[str], members: dict[str, Any]
) -> None:
    done = terminal.replying(changed()).run("grant", "notes", "ada", "export", "--reason", "r", *options)
    assert done.exit_code == 0
    assert terminal.sent() == {**ASKED, "denial": False, "priority": 0, **members}
    assert terminal.asked[0].url.path == "/api/v1/admin/grant"


def test_a_grant_shows_its_id_window_and_the_version_that_has_it(terminal: Terminal) -> None:
    done = terminal.replying(changed()).run("grant", "notes", "ada", "export", "--reason", "r")
    row = " ".join(done.stdout.splitlines()[1].split())
    assert row == "grant_1 notes ada export yes live 2026-11-23T10:00:00Z for ever press ann 7"


def test_a_denial_shows_as_one(terminal: Terminal) -> None:
    denial = held(denial=True, value=None)
    done = terminal.replying(changed(denial)).run("grant", "notes", "ada", "export", "--deny", "--reason", "r")
    assert "DENIED" in done.stdout


def test_a_reason_is_required(terminal: Terminal) -> None:
    assert terminal.run("grant", "notes", "ada", "export").exit_code == 2
    assert terminal.asked == []


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["notes", "ada", "export"], {**ASKED, "denial": False}),
        (["notes", "ada", "export", "--denial"], {**ASKED, "denial": True}),
        (["--id", "grant_1"], {"grant_id": "grant_1", "reason": "r"}),
    ],
)
def test_a_revocation_names_one_grant_or_all_of_a_feature(
    terminal: Terminal, arguments: list[str], body: dict[str, Any]
) -> None:
    assert terminal.replying(changed()).run("revoke", *arguments, "--reason", "r").exit_code == 0
    assert terminal.sent() == body


@pytest.mark.parametrize("arguments", [[], ["notes", "ada"], ["notes", "--id", "grant_1"], ["--id", "x", "--denial"]])
def test_a_revocation_that_names_neither_or_both_is_refused_unsent(terminal: Terminal, arguments: list[str]) -> None:
    assert terminal.run("revoke", *arguments, "--reason", "r").exit_code == 2
    assert terminal.asked == []


def test_grants_are_listed_by_project_user_and_state(terminal: Terminal) -> None:
    terminal.replying(page(held())).run("grants", "list", "notes", "--user", "a/b", "--state", "live")
    query = {"project_id": "notes", "user_id": "a/b", "state": "live", "limit": "20"}
    assert dict(terminal.asked[0].url.params) == query


def test_one_grant_is_shown(terminal: Terminal) -> None:
    assert "press" in terminal.replying(ok(held())).run("grants", "show", "grant_1").stdout


# --- many ----------------------------------------------------------------------------------------------------------


def test_rows_of_csv_become_grants_with_what_the_command_says_for_all(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(
        "user_id,feature,value,denial,valid_to,reason\n"
        "007,notes,500,,2027-01-31,\n"
        'ann,theme,"{""dark"": true}",,,"of, her own"\n'
        "bob,export,,true,,\n"
    )
    terminal.replying(changed())
    done = terminal.run("grants", "give", str(tmp_path / "g.csv"), "--project", "notes", "--reason", "beta")
    assert done.exit_code == 0
    common = {"project_id": "notes", "reason": "beta"}
    assert terminal.sent()["grants"] == [
        {**common, "user_id": "007", "feature": "notes", "value": 500, "valid_to": "2027-01-31T00:00:00Z"},
        {**common, "user_id": "ann", "feature": "theme", "value": {"dark": True}, "reason": "of, her own"},
        {**common, "user_id": "bob", "feature": "export", "denial": True},
    ]


def test_rows_of_yaml_may_have_dates(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("- {user_id: ann, feature: notes, value: 5, valid_to: 2027-01-31}")
    terminal.replying(changed()).run("grants", "give", str(tmp_path / "g.yaml"), "--project", "notes")
    [row] = terminal.sent()["grants"]
    assert row == {
        "project_id": "notes", "user_id": "ann", "feature": "notes", "value": 5, "valid_to": "2027-01-31T00:00:00Z",
    }  # fmt: skip


def test_many_rows_go_a_hundred_at_a_time_each_part_under_a_key_of_its_own(terminal: Terminal, tmp_path: Path) -> None:
    rows = "user_id,feature\n" + "".join(f"user-{number},export\n" for number in range(250))
    (tmp_path / "g.csv").write_text(rows)
    terminal.replying(changed())
    done = terminal.run("grants", "give", str(tmp_path / "g.csv"), "--idempotency-key", "mine", "--json")
    assert [len(terminal.sent(place)["grants"]) for place in range(3)] == [100, 100, 50]
    assert terminal.keys() == ["mine-0", "mine-100", "mine-200"]
    assert len(done.json["grants"]) == 3
    assert "200 of 250 rows done." in done.stderr


def test_a_fault_in_a_later_part_names_its_row_in_the_file_and_what_is_done(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text("user_id,feature\n" + "ann,export\n" * 150)
    fault = {"pointer": "/grants/3/value", "detail": "is no number"}
    refused = problem(422, "invalid_request", errors=[fault, {"pointer": "/x", "detail": "y"}])
    done = terminal.replying(changed(), refused).run("grants", "give", str(tmp_path / "g.csv"))
    assert done.exit_code == 1
    assert "row 104/value  is no number" in done.stderr
    assert "The 100 rows before row 101 are done." in done.stderr


def test_rows_to_take_back_name_grants_or_users(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "g.json").write_text('[{"grant_id": "grant_1"}, {"user_id": "ann", "feature": "export"}]')
    terminal.replying(changed())
    terminal.run("grants", "revoke", str(tmp_path / "g.json"), "--project", "notes", "--reason", "over")
    assert terminal.asked[0].url.path == "/api/v1/admin/revoke"
    assert terminal.sent()["grants"] == [
        {"grant_id": "grant_1", "reason": "over"},
        {"project_id": "notes", "user_id": "ann", "feature": "export", "reason": "over"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("g.csv", "user_id,feature\nann,export,more\n", "line 2: more cells"),
        ("g.csv", 'user_id,feature\n"ann,export\n', "unexpected end of data"),
        ("g.csv", "user_id,feature\n", "no list of rows"),
        ("g.yaml", "a: [", "line 1"),
        ("g.yaml", "just text", "no list of rows"),
        ("g.json", '[{"user_id": "ann"}, 7]', "no list of rows"),
        ("g.yaml", "- {user_id: ann, valid_to: soon}", "valid_to: 'soon' is no instant"),
    ],
)
def test_a_file_that_is_no_list_of_rows_is_refused_unsent(
    terminal: Terminal, tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content)
    done = terminal.run("grants", "give", str(tmp_path / name))
    assert done.exit_code == 2
    assert told in done.stderr
    assert terminal.asked == []
