"""What the routes of runs take and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from billing.domain.drift import PASSES, DriftKind, DriftStatus, PassName, RunCause, RunStatus, Step
from billing.http.paging import PageQuery
from billing.http.schemas import Body, Instant, ProjectId, Reason
from billing.store.drifts import DriftRow
from billing.store.runs import Run

Counts = Mapping[str, Mapping[str, int]]

_MOST_PEOPLE = 1_000_000_000


class ReconcileBody(Body):
    """`dry_run`: find and try, change nothing. Without `project_id` all projects, without `passes` all passes."""

    dry_run: bool = False
    project_id: ProjectId | None = None
    passes: list[PassName] = Field(list(PASSES), min_length=1, max_length=len(PASSES))
    max_revocations: Annotated[
        int | None,
        Field(
            ge=0, le=_MOST_PEOPLE, description="Customers it may take something from unasked; default 1 %, at least 10"
        ),
    ] = None


class RunDecision(Body):
    reason: Reason


class RunsQuery(PageQuery):
    status: RunStatus | None = None


class DriftsQuery(PageQuery):
    """`takes`: whether repairing it takes a feature from somebody."""

    kind: DriftKind | None = None
    status: DriftStatus | None = None
    takes: bool | None = None


class RunAnswer(BaseModel):
    """A run. `open`: a slice of it is worked on each minute; `waiting`: a person must approve what it would take.

    `listed` objects were looked at, `counts` are its drifts by kind and status, `listing_hash` is SHA-256 over all that
    Stripe listed. What was written after `cut_at` is left to events. `doing` and `step` tell where it is.
    `error`: what the last slice stumbled over, or why it failed.
    """

    id: str
    status: RunStatus
    cause: RunCause
    actor: str
    project_id: str | None
    passes: list[PassName]
    dry_run: bool
    max_revocations: int | None
    cut_at: Instant
    started_at: Instant
    finished_at: Instant | None
    duration_seconds: float | None
    doing: PassName | None
    step: Step
    listed: int
    drifts: int
    counts: dict[DriftKind, dict[DriftStatus, int]]
    listing_hash: str | None
    approved_by: str | None
    approved_at: Instant | None
    error: str | None

    @staticmethod
    def of(run: Run, counts: Counts | None = None) -> RunAnswer:
        return RunAnswer(**members_of(run, run.counts if counts is None else counts))


class RunDetail(RunAnswer):
    """`takes_from`: customers it took something from or, as long as it waits, would."""

    takes_from: int


class DriftAnswer(BaseModel):
    """One disagreement. `before` is the object as it was found, `after` as it should be, {} where it is not there.

    `effect`: the access that the repair changed or would change, by project and user. `found` in a run that is over:
    it was not repaired; `left`: nothing was to be done after all, or a person must; `reason` says more.
    """

    n: int
    kind: DriftKind
    status: DriftStatus
    pass_name: Annotated[PassName, Field(serialization_alias="pass")]
    object_type: str
    object_id: str
    project_id: str | None
    user_id: str | None
    takes: bool | None
    reason: str | None
    before: Any
    after: Any
    effect: Any
    found_at: Instant
    settled_at: Instant | None

    @staticmethod
    def of(row: DriftRow) -> DriftAnswer:
        names = DriftAnswer.model_fields.keys() - {"pass_name"}
        return DriftAnswer(**{name: getattr(row, name) for name in names}, pass_name=row.doing)


def members_of(run: Run, counts: Counts) -> dict[str, Any]:
    same = RunAnswer.model_fields.keys() & Run.__dataclass_fields__.keys()
    took = None if run.finished_at is None else (run.finished_at - run.started_at).total_seconds()
    return {
        **{name: getattr(run, name) for name in same},
        "duration_seconds": took,
        "doing": run.progress.doing,
        "step": run.progress.step,
        "drifts": sum(number for statuses in counts.values() for number in statuses.values()),
        "counts": counts,
        "listing_hash": None if run.listing_hash is None else run.listing_hash.hex(),
    }
