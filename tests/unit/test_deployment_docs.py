"""docs/deployment.md and its neighbours: options, numbers, commands and targets are those of the code."""

import re

import pytest

from infra.fleet import FLEET
from infra.local.package import REPOSITORY
from infra.stages import PROD, STAGING, Stage
from tests.unit.cli.terminal import commands

DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "deployment.md").read_text()
PAGES = {name: (DOCS / name).read_text() for name in ("deployment.md", "backup-and-restore.md", "costs.md")}
COMMANDS = {" ".join(words) for words, _ in commands()}
LEFT_TO_THE_ACCOUNT = 100
"""Executions that Lambda lets nobody set aside."""


def told(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    return str(value) or "-"


def test_every_option_is_in_the_table_with_its_value_in_each_stage() -> None:
    """After a change of infra/stages.py: the table under Options."""
    table = PAGE.partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ")[:3] for line in table.splitlines() if line.startswith("| `")]
    options = [name for name in Stage.model_fields if name != "name"]
    assert rows == [[f"`{name}`", *(told(getattr(stage, name)) for stage in (PROD, STAGING))] for name in options]


def test_the_quota_is_what_the_functions_set_aside_and_what_lambda_keeps() -> None:
    aside = sum(function.reserved or 0 for function in FLEET)
    assert f"set {aside} executions aside" in PAGE
    assert f"{aside + LEFT_TO_THE_ACCOUNT} at least" in PAGE


@pytest.mark.parametrize("page", PAGES)
def test_a_command_that_is_named_exists(page: str) -> None:
    for one, other in re.findall(r"(?:^|[`&|] ?|\n)billing ([a-z-]+)(?:[ \n]([a-z]+))?", PAGES[page]):
        assert {one, f"{one} {other}"} & COMMANDS, f"billing {one} {other}"


@pytest.mark.parametrize("page", PAGES)
def test_a_target_of_make_that_is_named_exists(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^|& )make ([a-z-]+)", PAGES[page], re.MULTILINE)) - set(targets) == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_page_and_to_a_heading_there(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", PAGES[page]):
        place = (DOCS / target) if target else (DOCS / page)
        assert place.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", place.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_a_test_that_is_named_exists(page: str) -> None:
    for path in re.findall(r"`(tests/[\w/]+\.py)`", PAGES[page]):
        assert (REPOSITORY / path).exists(), path


def test_every_check_of_the_command_has_its_row() -> None:
    rows = " ".join(re.findall(r"^\| ([a-z' ,]+) \| ", PAGE.partition("## What a check means")[2], re.MULTILINE))
    sources = (REPOSITORY / "shared/billing/domain/deployment.py", REPOSITORY / "shared/billing_cli/commands/deploy.py")
    text = "".join(source.read_text() for source in sources)
    checks = set(re.findall(r'(?:fine|failed)\("([a-z ]+)"', text)) | set(
        re.findall(r'check(?:, \w+)* = "([a-z ]+)"', text)
    )
    checks |= set(re.findall(r'Check\("([a-z ]+)"', text))
    assert len(checks) > 8
    assert {check for check in checks if check not in rows} == set()
