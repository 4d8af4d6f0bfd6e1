"""The steady scenario: the highest rate that holds, held for minutes; then the same rate in an open loop."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import repeat

import urllib3

from tests.bench import trivial_api
from tests.load import open_loop, verdict
from tests.load.asks import Ask, check, checks_alone, headers
from tests.load.crowd import run_crowd
from tests.load.line import Line
from tests.load.memory import Memory
from tests.load.parts import System
from tests.load.plan import Plan
from tests.load.scenarios import Outcome, Say, crowded, errors

LIMIT = 100.0
"""Milliseconds a check's p95 has to stay below."""

FIRST_RATE = 25.0
LOWEST = 5.0
PRECISION = 1.15
STEP_SECONDS = 20.0
SHARE = 0.8
"""Of the highest rate that held: a machine has other work now and then."""


def steady(system: System, minutes: float, rate: float | None, say: Say) -> Outcome:
    """The read-heavy mix in a closed loop; then checks alone and a function that does nothing, open loop."""
    plan, _ = crowded(system, 100)
    chosen, steps = (rate, []) if rate is not None else _ramp(plan, say)
    say(f"{chosen:.0f} requests/s for {minutes:g} minutes")
    memory = Memory(os.getpid())
    lines = run_crowd("steady", replace(plan, rate=chosen), minutes * 60, memory.watch, say)
    lines += _open_loop(system, plan, chosen, max(10.0, min(60.0, minutes * 12)), say)
    notes = [
        f"The ramp: {'; '.join(steps)}." if steps else "The rate was given.",
        f"Played: {chosen:.0f} requests/s for {minutes:g} minutes.",
    ]
    return Outcome(lines, memory, notes, errors(lines) + verdict.faults(system))


def _ramp(plan: Plan, say: Say) -> tuple[float, list[str]]:
    """The rate to play, and how it was found."""
    steps: list[str] = []

    def holds(rate: float) -> bool:
        held, step = _try(replace(plan, rate=rate))
        steps.append(step)
        say(step)
        return held

    return SHARE * highest(holds), steps


def highest(holds: Callable[[float], bool]) -> float:
    """The highest rate that holds, to 15 %: doubled until it does not, then between the two.

    What does not hold is tried once more, for another program may have had the machine. Raises RuntimeError where not
    even `LOWEST` holds.
    """
    good, bad, rate = 0.0, float("inf"), FIRST_RATE
    while bad > good * PRECISION and rate >= LOWEST:
        if holds(rate) or holds(rate):
            good = rate
        else:
            bad = rate
        rate = rate * 2 if bad == float("inf") else (good + bad) / 2
    if not good:
        raise RuntimeError(f"not even {LOWEST:g} requests a second are answered in time: is the machine busy?")
    return good


def _try(plan: Plan) -> tuple[bool, str]:
    lines = {line.name: line for line in run_crowd("ramp", plan, STEP_SECONDS)}
    whole, checks = lines["Aggregated"], lines["check"]
    held = checks.p95 < LIMIT and not whole.failures and whole.rate > 0.9 * plan.rate
    told = f"of {plan.rate:.0f}/s {whole.rate:.0f} answered, p95 of checks {checks.p95:.0f} ms, {whole.failures} errors"
    return held, told if held else f"{told} (too much)"


def _open_loop(system: System, plan: Plan, rate: float, seconds: float, say: Say) -> list[Line]:
    """A line for checks alone and one for the function that does nothing, at the same rate."""
    say(f"open loop, {seconds:.0f} s each: checks, then a function that only logs and answers")
    asks = checks_alone(plan.holders, seed=2)
    ours = open_loop.play("check, open loop", plan.api_url, plan.key, asks, rate, seconds)
    asked = check(plan.holders[0], allowed=True)
    answer = urllib3.request("GET", plan.api_url + asked.path, headers=headers(asked, plan.key))
    url, nothing = trivial_api.deploy(system.aws_url, answer.data.decode()), repeat(Ask("nothing", "GET", "/x"))
    open_loop.play("its first workers", url, plan.key, nothing, rate, 5)
    theirs = open_loop.play("a function that only logs and answers, open loop", url, plan.key, nothing, rate, seconds)
    return [ours, theirs]
