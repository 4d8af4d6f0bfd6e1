"""The scenarios: each plays its load on a booted system, then looks whether anything is lost or wrong."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import psycopg

from tests.load import verdict
from tests.load.ageing import age_every_other
from tests.load.asks import checkout, forged_event, listed, portal
from tests.load.crowd import REPORTS, Watch, run_crowd
from tests.load.line import Line
from tests.load.memory import Memory
from tests.load.parts import System
from tests.load.people import Subscription, subscribe, warm_up
from tests.load.plan import Plan
from tests.load.settling import settle
from tests.load.storm import EACH, Storm, prepare, wait_until_past

Say = Callable[[str], None]

CALLERS = 16
"""Connections of the closed loop, so also the most workers the emulator runs for one function."""

SENDERS = 8
BUYERS = 12
KILLED_AT = 10.0
"""Seconds after the storm's begin."""

DOWN = 60.0
BESIDE = 20.0
"""Requests a second that go on beside what a scenario is about."""


@dataclass(frozen=True)
class Outcome:
    """`notes` are sentences for the page; `faults` what is lost or wrong, in words."""

    lines: list[Line]
    memory: Memory
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def crowded(system: System, holders: int) -> tuple[Plan, dict[str, Subscription]]:
    """So many users who hold something and a quarter as many who do not, all cached, and workers for all callers."""
    subscriptions = subscribe(system, holders)
    if owed := settle(system):
        raise RuntimeError(f"{owed} messages and debts of the sales are still unsettled: is the machine busy?")
    others = [f"other-{number}" for number in range(max(holders // 4, 1))]
    warm_up(system, [listed(user_id) for user_id in (*subscriptions, *others)] * 2, CALLERS)
    warm_up(system, [forged_event()] * (4 * SENDERS), SENDERS)
    early = [f"early-{number}" for number in range(BUYERS)]
    for seldom in (checkout, portal):
        warm_up(system, map(seldom, early), 4)
    plan = Plan(
        api_url=system.deployed.api_url,
        key=system.kept.project_key,
        holders=list(subscriptions),
        others=others,
        rate=BESIDE,
        callers=CALLERS,
        webhook_secret=system.kept.webhook_secret,
    )
    return plan, subscriptions


def sale(system: System, minutes: float, rate: float | None, say: Say) -> Outcome:
    """People who buy, all at once, again and again, while micro-apps go on asking."""
    plan, _ = crowded(system, 50)
    plan = replace(plan, rate=rate or BESIDE, buyers=BUYERS)
    warm_up(system, [checkout(f"eager-{number}") for number in range(4 * BUYERS)], BUYERS)
    say(f"{BUYERS} people buy for {minutes:g} minutes, beside {plan.rate:g} requests/s")
    memory = Memory(os.getpid())
    lines = run_crowd("sale", plan, minutes * 60, memory.watch, say)
    notes = [f"{BUYERS} people who buy for {minutes:g} minutes, beside {plan.rate:g} requests/s."]
    return Outcome(lines, memory, notes, errors(lines) + verdict.faults(system))


def storm(system: System, minutes: float, rate: float | None, events: int, say: Say) -> Outcome:
    """So many events in a burst while micro-apps go on asking. Ends when all are applied, or after `minutes`."""
    plan, coming = _storm_ahead(system, events, rate, say)
    memory = Memory(os.getpid())
    drained = _drained(system, coming, say)
    lines = run_crowd("storm", plan, minutes * 60, lambda at: memory.watch(at) or drained(at), say)
    found = errors(lines) + _undelivered(lines, coming) + verdict.faults(system, coming.event_ids)
    return Outcome(lines, memory, [_told(system, coming)], found)


def outage(system: System, minutes: float, rate: float | None, events: int, say: Say) -> Outcome:
    """A storm, and PostgreSQL killed in the midst of it and started again a minute later (in a short run, half-way)."""
    plan, coming = _storm_ahead(system, events, rate, say)
    memory = Memory(os.getpid())
    fate = Fate(system, minutes * 60, say)
    plan = replace(plan, store_away=True, senders=2)
    lines = run_crowd("outage", plan, minutes * 60, lambda at: memory.watch(at) or fate.watch(at), say)
    found = errors(lines) + _undelivered(lines, coming) + verdict.faults(system, coming.event_ids)
    return Outcome(lines, memory, [_told(system, coming), *fate.notes], found)


@dataclass
class Fate:
    """PostgreSQL's: dies, and lives again, each at its time."""

    system: System
    seconds: float
    say: Say
    notes: list[str] = field(default_factory=list)

    def watch(self, at: float) -> bool:
        if not self.notes and at > KILLED_AT:
            aged = age_every_other(self.system)
            self.system.store.kill()
            self._note(f"PostgreSQL was killed at {at:.0f} s; {aged} cached snapshots were past their freshness.")
        if len(self.notes) == 1 and at > min(KILLED_AT + DOWN, self.seconds / 2):
            self.system.store.start_again()
            self._note(f"It was started again at {at:.0f} s.")
        return False

    def _note(self, text: str) -> None:
        self.notes.append(text)
        self.say(text)


def _storm_ahead(system: System, events: int, rate: float | None, say: Say) -> tuple[Plan, Storm]:
    say(f"{events} events of {events // EACH} customers are prepared")
    plan, subscriptions = crowded(system, max(events // EACH, 1))
    path = REPORTS / "deliveries"
    coming = prepare(system, subscriptions, path)
    wait_until_past(coming.after)
    say(f"{coming.deliveries} deliveries, beside {rate or BESIDE:g} requests/s")
    return replace(plan, rate=rate or BESIDE, senders=SENDERS, deliveries=str(path)), coming


def _undelivered(lines: list[Line], coming: Storm) -> list[str]:
    """Events that nobody sent are not lost: the run was too short for them."""
    accepted = sum(line.requests - line.failures for line in lines if line.name == "webhook")
    if accepted >= len(coming.event_ids):
        return []
    return [f"only {accepted} of {coming.deliveries} deliveries were made in time: set more MINUTES or fewer EVENTS"]


def _told(system: System, coming: Storm) -> str:
    """Of the settled storm."""
    [applied] = _ask(system, "SELECT count(*) FROM inbox WHERE status = 'applied'")
    [old] = _ask(system, "SELECT count(*) FROM inbox WHERE status = 'superseded'")
    return (
        f"{len(coming.event_ids)} events in {coming.deliveries} deliveries; with those of the sales before,"
        f" {applied} were applied and {old} superseded."
    )


def _drained(system: System, coming: Storm, say: Say) -> Watch:
    """Whether all of the storm is in the inbox."""
    [before] = _ask(system, "SELECT count(*) FROM inbox")
    told = 0.0

    def watch(at: float) -> bool:
        nonlocal told
        [now] = _ask(system, "SELECT count(*) FROM inbox")
        if at - told > 10:
            told = at
            say(f"{now - before} of {len(coming.event_ids)} events settled")
        return bool(now - before >= len(coming.event_ids))

    return watch


def _ask(system: System, question: str) -> tuple[int, ...]:
    with psycopg.connect(system.store.server.url) as store:
        return store.execute(question.encode()).fetchone() or (0,)


def errors(lines: list[Line]) -> list[str]:
    return [
        f"{line.name}: {line.failures} of {line.requests} requests failed"
        for line in lines
        if line.failures and line.name != "Aggregated"
    ]
