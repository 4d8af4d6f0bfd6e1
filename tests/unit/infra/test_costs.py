"""docs/costs.md: its tables are those of infra/costs.py, and their arithmetic can be redone."""

import re

import pytest

from infra.costs import DESIGNS, LOADS, PROD, Design, Load, lines, pages, total
from infra.local.package import REPOSITORY
from infra.stages import PROD as STAGE

PAGE = (REPOSITORY / "docs/costs.md").read_text()
UNITS = re.compile(r"(?<=\d) (M reads|M writes|GB-s|GB|ACU|vCPU|M|h|s)(?= |$)")


def worked_out(text: str) -> float:
    """A sum as the page has it; prices are for a million where what they are multiplied by is in millions."""
    figures = UNITS.sub("", text).replace(",", "")
    assert re.fullmatch(r"[\d.e\-+*/() ]+", figures), text
    return float(eval(figures))  # noqa: S307  digits and signs alone, as just seen


@pytest.mark.parametrize("design", DESIGNS, ids=lambda each: each.name)
@pytest.mark.parametrize("load", LOADS, ids=lambda each: each.name)
def test_each_lines_arithmetic_comes_to_what_it_says(design: Design, load: Load) -> None:
    for line in lines(design, load):
        assert worked_out(line.sum) == pytest.approx(line.dollars, rel=0.01, abs=0.005), line.what


def test_the_page_has_the_tables_as_they_are() -> None:
    """After a change of prices, of functions or of alarms: python -m infra.costs, into docs/costs.md."""
    assert pages() in PAGE


def test_the_stage_prod_is_what_is_priced_as_prod() -> None:
    assert (STAGE.database, STAGE.nat, STAGE.multi_az, STAGE.capacity_min) == ("aurora", "gateway", True, LOADS[0].acus)
    assert (PROD.instances, PROD.aurora, PROD.nat_instance) == (2, True, False)


def test_a_hundred_times_the_checks_cost_far_less_than_a_hundred_times_as_much() -> None:
    idle, one, hundred = (total(PROD, load) for load in LOADS)
    assert hundred - idle < 150 * (one - idle)
    assert hundred < 3 * idle
