"""Every benchmark, as ratios of interleaved pairs against a reference measured in the same run.

`python -m tests.bench [NAME …] [--pairs 11] [--write]` prints the table; with `--write` the rows of the benchmarks that
ran replace their part of docs/performance.md. A name is a module's of this package (`python -m tests.bench check`).
Times are CPU time wherever the question is how much work something is; a quiet machine still makes the spread smaller.
"""

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.table import HEAD, Row

BENCHES = (
    "cold",
    "check",
    "gateway",
    "refill",
    "webhook",
    "events",
    "growth",
    "reconciling",
    "client",
    "tokens",
    "cost",
)
"""Modules of this package that offer `rows(pairs) -> Iterator[Row]`, or `text(pairs) -> str` where that is no table of
ratios; in the order of the page.
"""

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def conditions(count: int) -> str:
    """What a reader must know to weigh the figures."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, load {os.getloadavg()[0]:.1f} at the start, {count} pairs"


def markers(name: str) -> tuple[str, str]:
    return f"<!-- bench {name} -->\n", f"<!-- end of bench {name} -->"


def replaced(page: str, name: str, text: str) -> str:
    """The page with the marked part anew. Raises ValueError where it has no such part."""
    begin, end = markers(name)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE.name} lacks the lines {begin.strip()} and {end}: put them where the table belongs")
    return before + begin + text + "\n" + end + after


def measure(name: str, count: int) -> str:
    """The benchmark's part of the page."""
    bench = importlib.import_module(f"tests.bench.{name}")
    if not hasattr(bench, "rows"):
        text = str(bench.text(count))
        print(text, flush=True)
        return text
    rows: Callable[[int], Iterator[Row]] = bench.rows
    lines = [f"{conditions(count)}:", "", HEAD]
    for row in rows(count):
        print(row, flush=True)
        lines.append(str(row))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--pairs", type=int, default=11, help="of each row (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    wanted = parser.parse_args()
    unknown = set(wanted.names) - set(BENCHES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    print(HEAD, flush=True)
    for name in wanted.names or BENCHES:
        part = measure(name, wanted.pairs)
        if wanted.write:
            PAGE.write_text(replaced(PAGE.read_text("utf-8"), name, part), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
