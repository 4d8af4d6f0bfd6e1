"""Runs Locust as a process of its own, watches it, and reads what it measured."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

from infra.local.package import REPOSITORY
from tests.load.line import Line, load_lines
from tests.load.plan import VARIABLE as PLAN
from tests.load.plan import Plan

REPORTS = REPOSITORY / "build" / "load"
"""Where the HTML reports, the raw figures and Locust's own log go."""

STOP_WITHIN = 60
"""Seconds for requests under way to end."""

TELL_EVERY = 30.0

Watch = Callable[[float], bool]
"""Called about once a second with the seconds since the start; True ends the run before its time."""


def run_crowd(
    name: str, plan: Plan, seconds: float, watch: Watch = lambda _: False, say: Callable[[str], None] = lambda _: None
) -> list[Line]:
    """A line for each name, the whole (`Aggregated`) last; `say` hears how it goes, twice a minute.

    Raises RuntimeError with the log where Locust broke.
    """
    REPORTS.mkdir(parents=True, exist_ok=True)
    told, secret, log = (REPORTS / f"{name}{suffix}" for suffix in (".lines.json", ".plan.json", ".log"))
    told.unlink(missing_ok=True)
    replace(plan, lines=str(told)).save(secret)
    try:
        with log.open("wb") as output, _locust(name, plan, seconds, output, secret) as process:
            _wait(process, watch, lambda: say(_so_far(REPORTS / f"{name}_stats_history.csv")))
    finally:
        secret.unlink()
    if not told.exists():
        raise RuntimeError(f"Locust ended with {process.returncode}; its log ends:\n{log.read_text()[-2000:]}")
    return load_lines(told)


def _locust(name: str, plan: Plan, seconds: float, output: IO[bytes], secret: Path) -> "subprocess.Popen[bytes]":
    command = [
        sys.executable, "-m", "locust", "--locustfile", "tests/load/locustfile.py", "--headless", "--only-summary",
        "--users", str(plan.users), "--spawn-rate", str(plan.users), "--run-time", f"{seconds:.0f}s",
        "--stop-timeout", str(STOP_WITHIN), "--host", plan.api_url, "--loglevel", "WARNING",
        "--csv", str(REPORTS / name), "--html", str(REPORTS / f"{name}.html"),
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, PLAN: str(secret)},
    )


def _wait(process: "subprocess.Popen[bytes]", watch: Watch, tell: Callable[[], None]) -> None:
    """Locust ends by its own clock, or because the watch says so, or with us."""
    began = told = time.monotonic()
    try:
        while process.poll() is None:
            time.sleep(1)
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                tell()
            if watch(time.monotonic() - began):
                process.send_signal(signal.SIGTERM)
                process.wait(STOP_WITHIN + 30)
    finally:
        if process.poll() is None:
            process.kill()


def _so_far(history: Path) -> str:
    """The last seconds, by Locust's own record of them."""
    with history.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Name"] == "Aggregated"]
    if not rows:
        return "no answer yet"
    last = rows[-1]
    return (
        f"{float(last['Requests/s']):.0f} requests/s, p95 {last['95%']} ms, {last['Total Failure Count']} failed so far"
    )
