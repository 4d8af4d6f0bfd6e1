from pathlib import Path

import pytest

from tests.load.line import Line
from tests.load.memory import Memory
from tests.load.page import section, write
from tests.load.scenarios import Outcome

LINE = Line("check", 100, 2, 10.0, 4.0, 9.0, 20.0, 31.4)


def test_a_section_has_the_figures_the_growth_and_the_verdict() -> None:
    memory = Memory(1, samples=[(0.0, {"entitlements": 45.0}), (60.0, {"entitlements": 46.0})])
    text = section(Outcome([LINE], memory, ["Played."], ["check: 2 of 100 requests failed"]), 0.3)
    assert "| check | 100 | 10.0 | 4 | 9 | 20 | 31 | 2 |" in text
    assert "entitlements 45 → 46" in text
    assert text.endswith("- check: 2 of 100 requests failed")


def test_a_section_replaces_only_what_is_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- load sale -->\nold\n<!-- end of load sale -->\nb\n")
    write("sale", "new", page)
    assert page.read_text() == "a\n<!-- load sale -->\nnew\n<!-- end of load sale -->\nb\n"


def test_a_page_without_the_markers_is_told_which_it_lacks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    with pytest.raises(ValueError, match="<!-- load sale -->"):
        write("sale", "new", page)
