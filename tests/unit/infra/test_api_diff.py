"""`make api-diff` in a repository of its own: what it compares, prints and ends with."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.api_diff import CONTRACT, MEANT, main

OPERATION: dict[str, Any] = {"security": [], "responses": {"200": {}}}


def write(repository: Path, *paths: str) -> None:
    contract = {"paths": {path: {"get": OPERATION} for path in paths}}
    (repository / CONTRACT).write_text(json.dumps(contract))


def commit(repository: Path) -> None:
    name = ["-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    subprocess.run(["git", *name, "commit", "-q", "-m", "x"], cwd=repository, check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit, whose contract has /a and /b."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / MEANT).write_text("None yet.\n")
    write(tmp_path, "/a", "/b")
    commit(tmp_path)
    return tmp_path


def test_nothing_broken_ends_well_and_says_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository, "/a", "/b", "/c")
    assert (main("HEAD", repository), capsys.readouterr().out) == (0, "")


def test_a_break_is_printed_and_ends_badly(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository, "/a")
    assert main("HEAD", repository) == 1
    assert capsys.readouterr().out.startswith("GET /b: is gone\n1 breaks.")


def test_a_break_that_is_quoted_as_meant_ends_well(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository, "/a")
    (repository / MEANT).write_text("- 2027-01-15 `GET /b: is gone`: nobody called it.\n")
    assert main("HEAD", repository) == 0
    assert "meant" in capsys.readouterr().out


def test_without_a_base_the_commit_before_is_compared_where_there_is_one(repository: Path) -> None:
    assert main("", repository) == 0
    write(repository, "/a")
    commit(repository)
    assert main("", repository) == 1


def test_a_base_that_is_not_there_ends_badly(repository: Path) -> None:
    assert main("no-such-ref", repository) == 1
