"""`python -m tests.simulation 17 20-40 --steps 800`: plays seeds and reports. Exits with 3 if a promise was broken."""

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

from tests.simulation.book import Violation
from tests.simulation.report import broken_promise, say, totals_so_far
from tests.simulation.servers import Servers, run_servers
from tests.simulation.setup import simulation
from tests.simulation.verdict import at_rest, compare

BROKEN = 3
_SHORTEST = 40
EVERY = 60.0
"""Seconds between two reports of a long run."""


def main() -> int:
    options = _options()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of strings is part of the schedule
        again = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606  itself again, no shell
    # psycopg tells of each connection that breaks: here they break by design
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    totals: Counter[str] = Counter()
    began = reported = time.monotonic()
    with ExitStack() as stack:
        lent = Servers(options.postgres_port, options.aws_url) if options.aws_url else None
        servers = lent or stack.enter_context(run_servers())
        for seed in seeds_of(options.seeds):
            now = time.monotonic()
            if (options.minutes and now - began > options.minutes * 60) or _enough(totals, options):
                break
            if now - reported > EVERY:
                reported = now
                say(totals_so_far(totals, began))
            broken = _play(seed, options.steps, servers, totals, options.story)
            if broken:
                totals["violations"] += 1
                say(broken if options.keep_going else _shortened(seed, broken, servers, options))
    say(totals_so_far(totals, began))
    return BROKEN if totals["violations"] else 0


def _enough(totals: Counter[str], options: argparse.Namespace) -> bool:
    return bool(totals["violations"]) and not options.keep_going


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", nargs="+", help="a seed, a range such as 1-50, or 1- for all from 1 on")
    parser.add_argument("--steps", type=int, default=800, help="steps in which the world acts; then all comes to rest")
    parser.add_argument("--minutes", type=float, default=0, help="begin no seed after so long (0: no limit)")
    parser.add_argument("--keep-going", action="store_true", help="go on to the next seed after a broken promise")
    parser.add_argument("--story", type=int, default=60, help="lines of the story told of a broken seed")
    parser.add_argument("--postgres-port", type=int, default=0, help="of servers that run already")
    parser.add_argument("--aws-url", default="")
    return parser.parse_args()


def seeds_of(texts: list[str]) -> Iterator[int]:
    for text in texts:
        first, dash, last = text.partition("-")
        seed = int(first)
        yield seed
        while dash and (not last or seed < int(last)):
            seed += 1
            yield seed


def _play(seed: int, steps: int, servers: Servers, totals: Counter[str], lines: int) -> str | None:
    """The story of the promise that was broken, if one was."""
    with simulation(seed, steps, servers) as played:
        try:
            played.play()
            compare(at_rest(played))
        except Violation as violation:
            return broken_promise(played, str(violation), lines)
        except Exception:
            say(broken_promise(played, "the simulation itself broke", lines))
            raise
        finally:
            totals.update(played.stage.counts)
            totals["seeds"] += 1
            totals["reads"] += played.stage.book.reads
    return None


def _shortened(seed: int, broken: str, servers: Servers, options: argparse.Namespace) -> str:
    """The story of the shortest run that still breaks a promise, by halving the time the world has."""
    steps = options.steps
    while options.story and steps > _SHORTEST:
        steps //= 2
        shorter = _play(seed, steps, servers, Counter(), options.story)
        if shorter is None:
            break
        broken = shorter
    return broken


if __name__ == "__main__":
    sys.exit(main())
