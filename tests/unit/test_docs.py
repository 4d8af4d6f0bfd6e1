"""docs/correctness.md names tests that exist, and leaves no failure out."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/correctness.md").read_text()
NAMED = sorted(set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", PAGE)))

ROWS = {
    "A": "1 2 3 4 5 7 8 9 10 11 12 13 14 15 17 18 19 21 22 24 26 27 28 29 30",
    "B": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 21 22 23 25 26 27 28 29 30 31",
    "C": "1 2 3 4 5 6 8 9 10 11 12 14 15 16 17 19 20",
    "D": "1 2 3 4 5 6 7 8",
    "E": "1 2 3 4 5 6 7 8 9 10 11 12 14 15 16 17 18 19 20 22 23 25 26 27 28 29",
    "F": "1 2 4 5 6 7 8 9 10",
    "G": "1 2 3 5 6 7 8 9",
    "H": "1 2 3 4 5 7 8 9 10 11 12 13 15 17 18",
    "I": "1 2 3 4 5 6 7 8 9 10 11 12 13 14",
}
"""The failures this system is built against, by section; a number that is missing was never given."""

PEER_FAULTS = 19


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return rows[1:]


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_it_names_exists(path: str, name: str) -> None:
    assert name in functions_of(path)


@pytest.mark.parametrize("section", ROWS)
def test_every_failure_has_its_row_with_a_test_or_the_reason_why_not(section: str) -> None:
    rows = table(f"{section}. ")

    assert [row[0] for row in rows] == [f"{section}{number}" for number in ROWS[section].split()]
    assert [row[0] for row in rows if "::test_" not in row[2] and not row[2].startswith("not yet: ")] == []


def test_every_fault_that_others_had_has_its_row() -> None:
    rows = table("Faults that others had")

    assert len(rows) == PEER_FAULTS
    assert [row[0] for row in rows if "::test_" not in row[1] and not row[1].startswith("not yet: ")] == []
