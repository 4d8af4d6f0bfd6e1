"""The load part of docs/performance.md: one marked section a scenario, replaced as a whole."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from infra.local.package import REPOSITORY
from tests.load.line import Line
from tests.load.memory import Memory
from tests.load.scenarios import Outcome

PAGE = REPOSITORY / "docs" / "performance.md"

_HEAD = (
    "| request | count | a second | p50 ms | p95 ms | p99 ms | longest ms | errors |\n|---|--:|--:|--:|--:|--:|--:|--:|"
)


def section(outcome: Outcome, load_before: float) -> str:
    """The scenario's part of the page, in Markdown."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load_before:.1f} before it began"
    nothing_lost = "Afterwards nothing was lost and nothing wrong." if not outcome.faults else "**Wrong afterwards:**"
    parts = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}. {' '.join(outcome.notes)}",
        "\n".join([_HEAD, *(_row(line) for line in outcome.lines)]),
        _grown(outcome.memory),
        "\n".join([nothing_lost, *(f"- {fault}" for fault in outcome.faults[:20])]),
    ]
    return "\n\n".join(part for part in parts if part)


def _row(line: Line) -> str:
    name = "all of it, closed loop" if line.name == "Aggregated" else line.name
    times = " | ".join(f"{value:.0f}" for value in (line.p50, line.p95, line.p99, line.longest))
    return f"| {name} | {line.requests} | {line.rate:.1f} | {times} | {line.failures} |"


def _grown(memory: Memory) -> str:
    told = [
        f"{name} {grown[0]:.0f} → {grown[1]:.0f}"
        for name in memory.names()
        if (grown := memory.growth(name)) is not None
    ]
    return (
        f"Largest process of each kind, MB, in the first and in the last fifth of the time: {', '.join(told)}."
        if told
        else ""
    )


def write(name: str, text: str, page: Path = PAGE) -> None:
    """Put the section between its markers. Raises ValueError where the page has none."""
    begin, end = f"<!-- load {name} -->\n", f"<!-- end of load {name} -->"
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page.name} lacks the lines {begin.strip()} and {end}: put them where the section belongs")
    page.write_text(f"{before}{begin}{text}\n{end}{after}", "utf-8")
