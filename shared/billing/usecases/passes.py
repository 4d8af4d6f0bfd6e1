"""What the passes of a reconciliation share: the means they get, what they find, and what a repair came to.

A pass is a generator of batches. The driver stores each batch (its staged rows, its drifts and the position to go on
from) in one transaction before it asks for the next, so a pass may rely on what it staged. A pass that is killed is
begun again from its last position: nothing is staged or found twice to any effect.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from billing.domain.drift import DriftKind
from billing.store.connection import Connection
from billing.usecases.apply_event import Worker

Json = Mapping[str, Any]

LOOK_BACK = timedelta(days=45)
"""How far back what is only ever made anew is listed: refunds, paid checkouts. Events are kept 30 days; a checkout may
be days old when it is paid.
"""


@dataclass(frozen=True, slots=True)
class Means:
    """What a pass and a repair work with.

    `cut`: when the run began; whatever is written or made after it is left to events. `spend` waits until Stripe may be
    asked once more. `project_id` None: all of them. `look_back` None: everything is listed, however old.
    """

    worker: Worker
    run_id: str
    project_id: str | None
    cut: datetime
    spend: Callable[[], None]
    look_back: timedelta | None = LOOK_BACK


@dataclass(frozen=True, slots=True)
class Drift:
    """One disagreement. `before` is what the store (or the cache) says, `after` what it should; {}: it has no such.

    `reason` says more where the kind does not say enough. `user_id` and `project_id` where they are known by now.
    """

    kind: DriftKind
    object_type: str
    object_id: str
    before: Json
    after: Json
    user_id: str | None = None
    project_id: str | None = None
    reason: str | None = None


def nothing(_connection: Connection) -> None:
    """Of a batch that has nothing to stage."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A step of a pass. `position`: where it goes on (JSON). `listed`: objects looked at, `digests`: a SHA-256 for each
    page of them, so that a run's hash is the same however pages are put together. `stage` writes its rows into
    `run_listing`, within the driver's transaction; done again it changes nothing. `done`: the pass has nothing more.
    """

    position: Json
    listed: int
    digests: tuple[bytes, ...]
    stage: Callable[[Connection], None]
    drifts: tuple[Drift, ...]
    done: bool


Batches = Generator[Batch, None, None]
"""What a pass finds, batch by batch. Whoever asks for them closes it, for it may hold threads and connections."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What a repair, or its trial, came to.

    `repaired`: it changed the store as the same news by an event would have. `left`: there is nothing to change, or
    nothing that may be changed without a person. `failed`: it cannot be applied; `reason` says why and how to mend it.
    `before` and `after`: what of {project_id: {user_id: {feature: value}}} is different by it, at the moment of the
    repair; `takes`: somebody loses a feature by it. `customer_ids` are to be published after the commit.
    """

    status: Literal["repaired", "left", "failed"]
    reason: str | None = None
    before: Json | None = None
    after: Json | None = None
    takes: bool = False
    customer_ids: tuple[int, ...] = ()
