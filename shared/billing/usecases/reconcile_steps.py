"""The steps of one pass: find what differs; try each repair in a transaction that is rolled back, and give at once
where nobody loses by it; take, once the run may. Each step goes on from its checkpoint and can be cut off anywhere.

Tried one after the other, each upon what those before it gave: so whoever has two sources loses by the last one alone,
and that one is held back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from billing.domain.drift import PassName, Progress, pass_after
from billing.errors import BillingError, Transient
from billing.store import drifts, runs
from billing.store.connection import Connection, transaction
from billing.store.drifts import DriftRow
from billing.store.runs import Run
from billing.usecases.passes import Batch, Batches, Drift, Json, Means, Mended
from billing.usecases.publish_outbox import publish_customers

AT_ONCE = 100
"""Drifts read at a time."""

MOST_STUCK = 10
"""Slices that end at the same drift before it is given up as `failed`; the next run finds it again."""

Guard = Callable[[Connection], None]


@dataclass(frozen=True, slots=True)
class Pass:
    """How a pass finds, and how it repairs or tries to (its last argument False: nothing is written).

    `gated` False: what it repairs may always be repaired, so it needs no trial.
    """

    find: Callable[[Means, Json], Batches]
    repair: Callable[[Means, Drift, Guard, bool], Mended]
    gated: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """One pass of one run, under a lease."""

    run: Run
    doing: PassName
    passed: Pass
    means: Means
    lease: timedelta
    left: Callable[[], float]
    tell: Callable[[str, int, Exception], None]

    @property
    def database_url(self) -> str:
        return self.means.worker.database_url


# --- find ----------------------------------------------------------------------------------------------------------


def find(job: Job, progress: Progress) -> Progress:
    """Ask the pass batch by batch: what it found and staged and where it goes on are one transaction."""
    progress = _begin(job, progress)
    with closing(job.passed.find(job.means, progress.position)) as batches:
        for batch in batches:
            progress = _store(job, progress, batch)
            if batch.done or job.left() <= 0:
                return progress
    return _keep(job, progress.to_step("try"))


def _begin(job: Job, progress: Progress) -> Progress:
    """A pass that begins, or whose staged rows a crash of the server emptied, begins with nothing staged or found."""
    with transaction(job.database_url) as connection:
        if progress.position and drifts.staging_stands(connection, job.run.id):
            return progress
    for own in (False, True):
        _clear(job, own=own)
    progress = replace(progress.to_pass(job.doing), stuck=progress.stuck)
    with transaction(job.database_url) as connection:
        runs.hold(connection, job.run)
        drifts.discard_unsettled(connection, job.run.id, job.doing)
        drifts.mark_staging(connection, job.run.id)
        runs.keep_progress(connection, job.run, progress, job.lease)
    return progress


def _clear(job: Job, *, own: bool) -> None:
    more = True
    while more:
        with transaction(job.database_url) as connection:
            runs.hold(connection, job.run)
            more = drifts.clear_staging(connection, job.run.id, own=own)


def _store(job: Job, progress: Progress, batch: Batch) -> Progress:
    now = job.means.worker.now()
    rows = [_row(job, drift, number, now) for number, drift in enumerate(batch.drifts, progress.n + 1)]
    digest = bytes.fromhex(progress.digest)
    for page in batch.digests:
        digest = sha256(digest + page).digest()
    then = replace(progress, position=dict(batch.position), n=progress.n + len(rows), digest=digest.hex(), stuck=0)
    if batch.done:
        then = then.to_step("try")
    listing_hash = digest if job.doing == "listing" else None
    with transaction(job.database_url) as connection:
        # First, for it holds the run as well as `hold`: the most frequent transaction does without that.
        runs.keep_progress(connection, job.run, then, job.lease, listed=batch.listed, listing_hash=listing_hash)
        batch.stage(connection)
        drifts.insert_drifts(connection, rows)
    return then


def _row(job: Job, drift: Drift, number: int, now: datetime) -> DriftRow:
    return DriftRow(
        run_id=job.run.id,
        n=number,
        doing=job.doing,
        kind=drift.kind,
        object_type=drift.object_type,
        object_id=drift.object_id,
        user_id=drift.user_id,
        project_id=drift.project_id,
        before=drift.before,
        after=drift.after,
        reason=drift.reason,
        found_at=now,
    )


# --- try and take --------------------------------------------------------------------------------------------------


def try_all(job: Job, progress: Progress) -> Progress:
    """Repair all that takes nothing from anybody; what does is marked. A second time: those that do, now that the rest
    is repaired.
    """
    while rows := _unsettled(job, progress):
        for row in rows:
            if job.left() <= 0:
                return progress
            progress = _settle(job, progress, row, _tried(job, progress, row))
    if job.run.dry_run or not _unsettled(job, replace(progress, after=0)):
        return _next_pass(job, progress)
    return _keep(job, progress.to_step("again" if progress.step == "try" else "take"))


def take_all(job: Job, progress: Progress) -> Progress:
    """Repair what is left: it takes, and the run may."""
    while rows := _unsettled(job, progress):
        for row in rows:
            if job.left() <= 0:
                return progress
            mended = _given_up(job) if progress.stuck >= MOST_STUCK else _mend(job, row, commit=True)
            progress = _settle(job, progress, row, (True, mended))
    return _next_pass(job, progress)


def _tried(job: Job, progress: Progress, row: DriftRow) -> tuple[bool, Mended]:
    """Whether it is settled by that, and what came of it."""
    if progress.stuck >= MOST_STUCK:
        return True, _given_up(job)
    trial = None
    if job.passed.gated or job.run.dry_run:
        trial = _mend(job, row, commit=False)
        if trial.status != "repaired":
            return True, trial
        if trial.takes or job.run.dry_run:
            return False, trial
    return True, _mend(job, row, commit=True, trial=trial)


def _given_up(job: Job) -> Mended:
    return Mended("failed", f"{job.run.error or 'transient'}: it kept failing; the next run finds it again")


def _mend(job: Job, row: DriftRow, *, commit: bool, trial: Mended | None = None) -> Mended:
    """One repair, published; or its trial. `trial`: what that came to, if the row does not tell it.

    Raises Transient; whatever else it raises concerns this drift alone.
    """
    now = job.means.worker.now()

    def guard(connection: Connection) -> None:
        runs.hold(connection, job.run)
        if commit and not _claim(connection, job, row, trial, now):
            raise runs.taken_over(job.run)

    drift = Drift(
        row.kind, row.object_type, row.object_id, row.before, row.after, row.user_id, row.project_id, row.reason
    )
    try:
        mended = job.passed.repair(job.means, drift, guard, commit)
    except Transient:
        raise
    except BillingError as fault:
        return Mended("failed", f"{fault.code}: {fault.detail}")
    except Exception as fault:  # noqa: BLE001  whatever it is, the other drifts are innocent
        job.tell(job.run.id, row.n, fault)
        return Mended("failed", f"internal: {type(fault).__name__}: the log has more under the run's id")
    if commit:
        publish_customers(job.means.worker.publisher, mended.customer_ids, now)
    return mended


def _claim(connection: Connection, job: Job, row: DriftRow, trial: Mended | None, now: datetime) -> bool:
    """A pass that is not gated takes from nobody."""
    return drifts.claim_drift(
        connection,
        job.run.id,
        row.n,
        takes=trial.takes if trial is not None else None if job.passed.gated else False,
        effect=None if trial is None else _effect(trial),
        customer_ids=None if trial is None else trial.customer_ids,
        now=now,
    )


def _settle(job: Job, progress: Progress, row: DriftRow, became: tuple[bool, Mended]) -> Progress:
    """The drift's row and the checkpoint, in one transaction."""
    over, mended = became
    then = replace(progress, after=row.n, stuck=0)
    with transaction(job.database_url) as connection:
        runs.hold(connection, job.run)
        drifts.note_drift(
            connection,
            job.run.id,
            row.n,
            status=mended.status if over else "found",
            takes=mended.takes,
            reason=mended.reason,
            effect=_effect(mended),
            customer_ids=mended.customer_ids,
            now=job.means.worker.now(),
        )
        runs.keep_progress(connection, job.run, then, job.lease)
    return then


def _effect(mended: Mended) -> Json | None:
    if mended.before is None and mended.after is None:
        return None
    return {"before": dict(mended.before or {}), "after": dict(mended.after or {})}


def _unsettled(job: Job, progress: Progress) -> Sequence[DriftRow]:
    with transaction(job.database_url) as connection:
        return drifts.unsettled(connection, job.run.id, job.doing, after=progress.after, limit=AT_ONCE)


def _next_pass(job: Job, progress: Progress) -> Progress:
    return _keep(job, progress.to_pass(pass_after(job.doing, job.run.passes)))


def _keep(job: Job, progress: Progress) -> Progress:
    with transaction(job.database_url) as connection:
        runs.hold(connection, job.run)
        runs.keep_progress(connection, job.run, progress, job.lease)
    return progress
