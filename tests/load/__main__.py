"""Load tests on a system booted for them: `python -m tests.load [SCENARIO] [--minutes N] [--rate N] [--write]`.

Exit code 1 if a request failed, or anything is lost or wrong afterwards.
"""

import argparse
import os
import sys
import time

from infra.local.console import Terminal
from infra.local.processes import LocalStackError
from infra.local.stack import Stopped, stopped_by_signals
from tests.load.crowd import REPORTS
from tests.load.page import section, write
from tests.load.parts import System, booted
from tests.load.scenarios import Outcome, Say, outage, sale, storm
from tests.load.steady import steady
from tests.load.worker import alone

SCENARIOS = ("steady", "sale", "storm", "outage", "worker")


def play(system: System, wanted: argparse.Namespace, say: Say) -> Outcome:
    match wanted.scenario:
        case "steady":
            return steady(system, wanted.minutes, wanted.rate, say)
        case "sale":
            return sale(system, wanted.minutes, wanted.rate, say)
        case "storm":
            return storm(system, wanted.minutes, wanted.rate, wanted.events, say)
        case "outage":
            return outage(system, wanted.minutes, wanted.rate, wanted.events, say)
        case _:
            return alone(system, wanted.checks, say)


def main() -> int:
    wanted = _arguments()
    load_before = os.getloadavg()[0]
    terminal = Terminal()
    began = time.monotonic()

    def say(text: str) -> None:
        terminal.note(f"  {time.monotonic() - began:6.0f} s  {text}")

    terminal.heading(f"Load test: {wanted.scenario}")
    REPORTS.mkdir(parents=True, exist_ok=True)
    try:
        with stopped_by_signals(), booted(terminal) as system:
            outcome = play(system, wanted, say)
    except (LocalStackError, RuntimeError) as error:
        terminal.trouble(str(error))
        return 1
    except Stopped:
        terminal.note("\nStopped. Nothing is left running.")
        return 1
    text = section(outcome, load_before)
    print(f"\n{text}\n\nReports: {REPORTS}")
    if wanted.write:
        write(wanted.scenario, text)
    return 1 if outcome.faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=SCENARIOS, default="steady")
    parser.add_argument("--minutes", type=float, default=10, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, help="requests a second (steady: found by a ramp; beside others: 20)")
    parser.add_argument("--events", type=int, default=10_000, help="in the storm and the outage (default: %(default)s)")
    parser.add_argument("--checks", type=int, default=100_000, help="by the one worker (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
