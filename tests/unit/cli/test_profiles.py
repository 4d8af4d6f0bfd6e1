"""Which environment a command works on, and how its key is kept."""

import json
from pathlib import Path

import pytest

from billing_cli.profiles import STACK_FILE
from tests.unit.cli.terminal import KEY, Terminal, page

STAGING = "https://staging.example"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """Of an operator whose environment says nothing."""
    return Terminal(tmp_path, environ={}).replying(page())


def add(terminal: Terminal, name: str, url: str = STAGING, key: str = KEY) -> None:
    done = terminal.run("profile", "add", name, "--url", url, "--key-stdin", typed=key + "\n")
    assert done.exit_code == 0, done.stderr
    assert key not in done.stdout + done.stderr


def local_stack(terminal: Terminal, **members: str) -> None:
    path = terminal.folder / STACK_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"api_url": "http://127.0.0.1:4566/local", "admin_key": KEY, **members}))


def host_of(terminal: Terminal, *options: str) -> str:
    done = terminal.run("project", "list", *options)
    assert done.exit_code == 0, done.stderr
    return terminal.asked[-1].url.host


def test_without_any_profile_it_says_how_to_get_one(terminal: Terminal) -> None:
    done = terminal.run("project", "list")
    assert done.exit_code == 2
    assert "billing profile add" in done.stderr
    assert "billing bootstrap" in done.stderr


def test_a_profile_is_kept_for_its_owner_alone_and_used_from_then_on(terminal: Terminal) -> None:
    add(terminal, "staging", STAGING + "/")
    assert terminal.profiles_file.stat().st_mode & 0o777 == 0o600
    assert host_of(terminal) == "staging.example"
    assert terminal.asked[-1].headers["Authorization"] == f"Bearer {KEY}"


def test_profiles_are_listed_without_their_keys(terminal: Terminal) -> None:
    add(terminal, "staging")
    add(terminal, "production", "https://billing.example")
    done = terminal.run("profile", "list")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["production", "https://billing.example"],
        ["*", "staging", STAGING],
    ]
    assert KEY not in done.stdout + terminal.run("profile", "list", "--json").stdout


def test_another_profile_is_used_for_one_command_or_from_then_on(terminal: Terminal) -> None:
    add(terminal, "staging")
    add(terminal, "production", "https://billing.example")
    assert host_of(terminal, "--profile", "production") == "billing.example"
    assert host_of(terminal) == "staging.example"
    terminal.run("profile", "use", "production")
    assert host_of(terminal) == "billing.example"


def test_a_profile_may_be_named_before_the_command(terminal: Terminal) -> None:
    add(terminal, "staging")
    add(terminal, "production", "https://billing.example")
    terminal.run("--profile", "production", "--json", "project", "list")
    assert terminal.asked[-1].url.host == "billing.example"


def test_a_forgotten_profile_is_used_no_more(terminal: Terminal) -> None:
    add(terminal, "staging")
    assert terminal.run("profile", "remove", "staging").exit_code == 0
    assert terminal.run("project", "list").exit_code == 2
    assert KEY not in terminal.profiles_file.read_text()


def test_the_environment_goes_before_the_chosen_profile_and_behind_the_named_one(terminal: Terminal) -> None:
    add(terminal, "staging")
    add(terminal, "third", "https://third.example")
    terminal.environ = {"BILLING_PROFILE": "third"}
    assert host_of(terminal) == "third.example"
    terminal.environ |= {"BILLING_URL": "https://env.example", "BILLING_ADMIN_KEY": KEY}
    assert host_of(terminal) == "env.example"
    assert host_of(terminal, "--profile", "staging") == "staging.example"


@pytest.mark.parametrize("environ", [{"BILLING_URL": STAGING}, {"BILLING_ADMIN_KEY": KEY}])
def test_no_key_is_ever_sent_to_an_address_it_was_not_given_for(terminal: Terminal, environ: dict[str, str]) -> None:
    add(terminal, "staging")
    terminal.environ = environ
    assert terminal.run("project", "list").exit_code == 2
    assert terminal.asked == []


def test_what_make_run_runs_here_or_above_is_found_without_any_setup(terminal: Terminal) -> None:
    local_stack(terminal)
    terminal.folder /= "deep"
    assert host_of(terminal) == "127.0.0.1"
    assert terminal.asked[-1].url.path == "/local/api/v1/admin/projects"


def test_a_chosen_profile_goes_before_what_make_run_runs_here_unless_local_is_named(terminal: Terminal) -> None:
    local_stack(terminal)
    add(terminal, "staging")
    assert host_of(terminal) == "staging.example"
    assert host_of(terminal, "--profile", "local") == "127.0.0.1"


def test_local_without_a_running_system_says_how_to_start_one(terminal: Terminal) -> None:
    done = terminal.run("project", "list", "--profile", "local")
    assert done.exit_code == 2
    assert "make run" in done.stderr


def test_an_unknown_profile_is_refused_and_the_known_ones_are_named(terminal: Terminal) -> None:
    add(terminal, "staging")
    done = terminal.run("project", "list", "--profile", "stagin")
    assert done.exit_code == 2
    assert "there are: staging" in done.stderr


@pytest.mark.parametrize(
    "url",
    ["http://billing.example", "billing.example", "ftp://x", "https://", "https://a:b@billing.example", "https://x/?y"],
)
def test_an_address_that_would_show_the_key_or_is_none_is_refused(terminal: Terminal, url: str) -> None:
    done = terminal.run("profile", "add", "x", "--url", url, "--key-stdin", typed=KEY)
    assert done.exit_code == 2
    assert KEY not in terminal.profiles_file.read_text()


@pytest.mark.parametrize("key", ["", "sk_live_of_another_service", "bk_two words", "bk_\x1b"])
def test_what_is_no_key_is_refused_and_not_repeated(terminal: Terminal, key: str) -> None:
    done = terminal.run("profile", "add", "x", "--url", STAGING, "--key-stdin", typed=key)
    assert done.exit_code == 2
    assert "That is no key" in done.stderr
    assert not key or key not in done.stderr


def test_without_a_terminal_the_key_has_to_come_by_standard_input(terminal: Terminal) -> None:
    done = terminal.run("profile", "add", "x", "--url", STAGING, typed=KEY)
    assert done.exit_code == 2
    assert "--key-stdin" in done.stderr


@pytest.mark.parametrize("name", ["local", "Upper", "../x", ""])
def test_a_name_that_is_taken_or_none_is_refused(terminal: Terminal, name: str) -> None:
    assert terminal.run("profile", "add", name, "--url", STAGING, "--key-stdin", typed=KEY).exit_code == 2


def test_a_file_that_others_can_read_is_not_used(terminal: Terminal) -> None:
    add(terminal, "staging")
    terminal.profiles_file.chmod(0o644)
    done = terminal.run("project", "list")
    assert done.exit_code == 2
    assert "chmod 600" in done.stderr


@pytest.mark.parametrize("content", ["{", "[]", '{"profiles": {"x": {}}}', '{"profiles": []}'])
def test_a_damaged_file_is_told_and_left(terminal: Terminal, content: str) -> None:
    add(terminal, "staging")
    terminal.profiles_file.write_text(content)
    assert terminal.run("project", "list").exit_code == 2
    assert terminal.profiles_file.read_text() == content


def test_a_damaged_stack_file_is_told(terminal: Terminal) -> None:
    local_stack(terminal)
    (terminal.folder / STACK_FILE).write_text("{}")
    assert "damaged" in terminal.run("project", "list").stderr


def test_a_folder_that_cannot_be_written_is_told(terminal: Terminal) -> None:
    terminal.profiles_file.parent.write_text("a file in its place")
    done = terminal.run("profile", "add", "x", "--url", STAGING, "--key-stdin", typed=KEY)
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize("verb", ["use", "remove"])
def test_using_or_removing_what_is_not_there_is_refused(terminal: Terminal, verb: str) -> None:
    assert terminal.run("profile", verb, "nowhere").exit_code == 2
