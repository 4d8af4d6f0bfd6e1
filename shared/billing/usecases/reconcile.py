"""The reconciliation (SPEC §6) as a run goes through it, slice by slice: a lease, a checkpoint, and a stop before it
takes too much.

A slice goes on from the checkpoint of the one before, whatever became of it. It works under a lease, whose token every
transaction of the run asks for first: one that slept past its lease writes nothing any more.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from billing.domain.drift import RETENTION, PassName, Progress, default_limit, may_take, pass_after
from billing.errors import Transient
from billing.store import drifts, runs
from billing.store.connection import transaction
from billing.store.runs import Run
from billing.usecases.apply_event import Worker
from billing.usecases.pace import Pace
from billing.usecases.passes import Means
from billing.usecases.reconcile_steps import Job, Pass, find, take_all, try_all

LEASE = timedelta(seconds=180)
"""Begun anew by every checkpoint; longer than any question to Stripe with its pauses."""

CALLS_PER_SECOND = 20
"""Of the 100 that Stripe allows an account; the events' own fetches have 10."""

MOST_TRIES = 4
"""At one place within a slice; then the next slice tries."""

LONGEST_PAUSE = 20.0
"""Seconds between two tries."""

Ended = Literal["idle", "more", "waiting", "done", "failed", "interrupted", "taken_over"]
"""`idle`: there was nothing to do, or somebody does it; `more`: out of time; `interrupted`: the next slice tries again;
`taken_over`: canceled, or another worker goes on.
"""


@dataclass(frozen=True, slots=True)
class Driver:
    """Who works on runs, and with what. `left`: seconds that remain to this slice. `tell`: what broke a drift's repair,
    with the drift's number, for the log. `retention`: how long runs are kept.
    """

    worker: Worker
    passes: Mapping[PassName, Pass]
    holder: str
    left: Callable[[], float]
    tell: Callable[[str, int, Exception], None]
    calls_per_second: float = CALLS_PER_SECOND
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    lease: timedelta = LEASE
    retention: timedelta = RETENTION


@dataclass(frozen=True, slots=True)
class Slice:
    """How a slice ended. `code` and `fault` say over what; `counts` are the run's drifts, {kind: {status: number}},
    where it is over or waits.
    """

    ended: Ended
    run_id: str | None = None
    code: str | None = None
    fault: Exception | None = None
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def work(driver: Driver) -> Slice:
    """Do a slice of the open run, if there is one and nobody is at it. Raises Transient where the store is away: the
    lease then ends by itself.
    """
    with transaction(driver.worker.database_url) as connection:
        run = runs.take_lease(connection, driver.holder, driver.lease)
    if run is None:
        return Slice("idle")
    try:
        return _patiently(driver, run)
    except Transient as fault:
        if fault.code != "run_taken_over":
            raise
        return Slice("taken_over", run.id)


def _patiently(driver: Driver, run: Run) -> Slice:
    """The slice with pauses where something does not answer: longer each time, part of it by chance."""
    pace = Pace(driver.calls_per_second, driver.clock, driver.sleep)
    tries, place = 0, run.checkpoint
    while True:
        try:
            return _advance(driver, run, pace)
        except Transient as fault:
            if fault.code == "run_taken_over":
                raise
            run = _again(driver, run)
            tries, place = (tries + 1, place) if run.checkpoint == place else (1, run.checkpoint)
            pause = _pause(tries, fault)
            if tries == MOST_TRIES or pause > min(LONGEST_PAUSE, driver.left()):
                return _interrupted(driver, run, fault)
            driver.sleep(pause)
        except Exception as fault:  # noqa: BLE001  told by the slice; a run that cannot go on must not block the next
            return _failed(driver, run, fault)


def _pause(tries: int, fault: Transient) -> float:
    by_chance = random.uniform(0.5, 1.0)  # noqa: S311  no secret
    return max(fault.retry_after or 0.0, min(LONGEST_PAUSE, 2.0**tries) * by_chance)


def _advance(driver: Driver, run: Run, pace: Pace) -> Slice:
    """From the checkpoint until the run is over, has to wait, or the time is."""
    progress = run.progress
    if progress.doing is None and progress.step == "find":
        progress = progress.to_pass(pass_after(None, run.passes))
    while progress.doing is not None:
        if driver.left() <= 0:
            _release(driver, run, None)
            return Slice("more", run.id)
        job = Job(
            run=run,
            doing=progress.doing,
            passed=driver.passes[progress.doing],
            means=Means(driver.worker, run.id, run.project_id, run.cut_at, pace.spend),
            lease=driver.lease,
            left=driver.left,
            tell=driver.tell,
        )
        if progress.step == "take" and progress.after == 0 and not _may_take(job):
            return _settle(driver, run, "waiting")
        progress = _step(job, progress)
    return _finish(driver, run)


def _step(job: Job, progress: Progress) -> Progress:
    match progress.step:
        case "find":
            return find(job, progress)
        case "try" | "again":
            return try_all(job, progress)
        case "take" | "end":
            return take_all(job, progress)


def _may_take(job: Job) -> bool:
    """The stop before the first: holders are counted only where more than a few would lose something."""
    with transaction(job.database_url) as connection:
        runs.hold(connection, job.run)
        losers = drifts.count_losers(connection, job.run.id)
        limit = job.run.max_revocations
        if limit is None:
            limit = default_limit(0)
            if not may_take(losers, limit, job.run.approved_takes):
                limit = default_limit(runs.count_holders(connection))
    return may_take(losers, limit, job.run.approved_takes)


def _finish(driver: Driver, run: Run) -> Slice:
    more = True
    while more:
        with transaction(driver.worker.database_url) as connection:
            runs.hold(connection, run)
            more = drifts.clear_staging(connection, run.id, own=True)
    if run.cause == "schedule":
        _prune(driver, run)
    return _settle(driver, run, "done")


def _prune(driver: Driver, run: Run) -> None:
    """The day's run deletes runs of long ago, as far as its slice has time: what is left, the next day's does."""
    more = True
    while more and driver.left() > 0:
        with transaction(driver.worker.database_url) as connection:
            runs.hold(connection, run)
            more = drifts.prune(connection, run.started_at - driver.retention)


def _settle(driver: Driver, run: Run, status: Literal["done", "waiting", "failed"], error: str | None = None) -> Slice:
    with transaction(driver.worker.database_url) as connection:
        runs.hold(connection, run)
        counts = drifts.count_drifts(connection, run.id)
        runs.settle_run(connection, run.id, status, counts, now=driver.worker.now(), error=error)
    return Slice(status, run.id, error, counts=counts)


def _failed(driver: Driver, run: Run, fault: Exception) -> Slice:
    code = getattr(fault, "code", type(fault).__name__)
    return replace(_settle(driver, run, "failed", str(code)), fault=fault)


def _interrupted(driver: Driver, run: Run, fault: Transient) -> Slice:
    _release(driver, run, fault.code)
    return Slice("interrupted", run.id, fault.code)


def _release(driver: Driver, run: Run, error: str | None) -> None:
    with transaction(driver.worker.database_url) as connection:
        if error is not None:
            progress = run.progress
            runs.keep_progress(connection, run, replace(progress, stuck=progress.stuck + 1), driver.lease)
        runs.release_lease(connection, run, error)


def _again(driver: Driver, run: Run) -> Run:
    """The run as the store has it: a commit that seemed to fail may have succeeded. Raises Transient."""
    with transaction(driver.worker.database_url) as connection:
        runs.hold(connection, run)
        found = runs.find_run(connection, run.id)
    if found is None:
        raise runs.taken_over(run)
    return found
