"""No code can leave the service without a row in the table of problems."""

import ast
from collections.abc import Iterator
from pathlib import Path

from billing.http.problems import KINDS

ROOT = Path(__file__).parents[3]
SOURCES = [*ROOT.glob("shared/billing/**/*.py"), *ROOT.glob("functions/**/*.py")]


def codes_raised(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        code = node.args[0]
        if node.func.id in {"Refused", "Transient"} and isinstance(code, ast.Constant):
            yield str(code.value)


def test_every_code_raised_has_its_row() -> None:
    raised = {code: source.name for source in SOURCES for code in codes_raised(source)}
    assert "invalid_api_key" in raised
    assert {code: name for code, name in raised.items() if code not in KINDS} == {}
