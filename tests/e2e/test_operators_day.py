"""docs/operations.md as it stands: its commands are run, and print what the page says they print."""

import json
import os
import re
import subprocess
from dataclasses import asdict
from pathlib import Path

from infra.local.kept import Stack
from infra.local.package import REPOSITORY

PAGE = REPOSITORY / "docs" / "operations.md"
SECTION = "## The operator's day"
LONGEST_SECONDS = 240

_BLOCK = re.compile(r"```sh\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)
_DONE = "=== done ==="
_FAILED = "=== failed ==="


def blocks(page: str) -> list[tuple[str, str]]:
    """(commands, what they print) of the section, in order."""
    section = page.partition(SECTION)[2].partition("\n## ")[0]
    return [(found[1], found[2] or "") for found in _BLOCK.finditer(section)]


def play(folder: Path, commands: list[str]) -> list[str]:
    """What each block printed, run one after the other in one shell, where a user's own settings are not seen."""
    script = f"exec 3>&1; set -uE; trap 'echo \"{_FAILED} $BASH_COMMAND\" >&3' ERR\n"
    script += "\n".join(f"{block}\necho '{_DONE}'" for block in commands)
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    played = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    printed = played.stdout.split(_DONE)
    assert len(printed) == len(commands) + 1, f"the shell ended early:\n{played.stdout}"
    return printed[:-1]


def missing(expected: str, printed: str) -> str | None:
    """The first of the expected lines, in which `…` is anything, that was not printed after those before it."""
    lines = iter(printed.splitlines())
    for wanted in filter(str.strip, expected.splitlines()):
        pattern = ".*".join(r"\s+".join(map(re.escape, part.split())) for part in wanted.strip().split("…"))
        if not any(re.search(pattern, line) for line in lines):
            return wanted
    return None


def test_the_operators_day_goes_as_the_page_says(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text(json.dumps(asdict(stack)))
    (tmp_path / ".venv").symlink_to(REPOSITORY / ".venv")
    day = blocks(PAGE.read_text(encoding="utf-8"))
    assert len(day) > 8
    printed = play(tmp_path, [commands for commands, _ in day])
    for (commands, expected), found in zip(day, printed, strict=True):
        assert _FAILED not in found, f"{commands}\nprinted\n{found}"
        gone = missing(expected, found)
        assert gone is None, f"{commands}\ndid not print {gone!r}, but\n{found}"
        assert "bk_" not in found, f"{commands}\nprinted a key"


def test_what_is_missing_from_an_output_is_found() -> None:
    assert missing("a … c\nd", "x\na b   c\nd") is None
    assert missing("d\na", "a\nd") == "a"
    assert missing("a c", "a b c") == "a c"
