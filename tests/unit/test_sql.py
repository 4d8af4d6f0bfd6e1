"""Statements that would pin a connection at RDS Proxy, or keep its rows from being found again, are not written."""

import re
from pathlib import Path

import pytest

ON_PURPOSE = "migrate"  # a deployment's one connection: its lock outlives a transaction
STORE = [
    path
    for path in sorted((Path(__file__).parents[2] / "shared/billing/store").glob("*.py"))
    if path.stem != ON_PURPOSE
]

PINS = re.compile(
    r"\bSET\s+(LOCAL|SESSION|TRANSACTION)\b|\bset_config\(|\bPREPARE\b|\bDECLARE\b|\bLISTEN\b|\bTEMP(ORARY)?\s+TABLE\b"
    r"|\bpg_(try_)?advisory_lock\(|\bnextval\(|\bsetval\("
)


@pytest.mark.parametrize("module", STORE, ids=lambda path: path.stem)
def test_no_statement_pins_the_connection(module: Path) -> None:
    assert PINS.findall(module.read_text()) == []


@pytest.mark.parametrize("statement", ["SET LOCAL statement_timeout = 1", "SELECT pg_advisory_lock(1)", "LISTEN news"])
def test_a_statement_that_pins_is_recognised(statement: str) -> None:
    assert PINS.search(statement)


def test_an_update_and_a_lock_of_the_transaction_are_not_mistaken_for_one() -> None:
    assert not PINS.search("UPDATE projects SET name = %s; SELECT pg_advisory_xact_lock(1)")
