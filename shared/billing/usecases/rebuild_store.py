"""Builds the store anew out of Stripe: after its loss, or to adopt the service on an account that sells already.

Slice by slice, each going on where the last one ended, however it ended. It adds what the store lacks, by the events'
own code and one transaction an object, and changes no row that is there: those are the events' and the
reconciliation's. What Stripe does not have comes from elsewhere: projects and keys first, features and benefits by the
catalog, grants and the audit from the backup (docs/disaster-recovery.md).

A store that knows of sales has something to lose by what it lacks, a refund say: there a rebuild gives first, and takes
as a run does, behind the same gate (ADR 33).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

from billing.domain.facts import (
    CheckoutFact,
    CustomerFact,
    EventFact,
    InvoiceFact,
    PriceFact,
    ProductFact,
    SubscriptionFact,
)
from billing.domain.windows import rfc3339
from billing.errors import Permanent, Refused, Transient
from billing.payments.client import Rejected
from billing.payments.history import STAGES, HistoryPage, Row, Stage, customer_of, fact_of, project_of, read_page
from billing.payments.objects import Fetched
from billing.store import audit, catalog, projects, rebuilds
from billing.store.connection import Connection, transaction
from billing.store.rebuilds import Rebuild
from billing.usecases.apply_event import Worker, spend_fetch, with_fetches
from billing.usecases.apply_fact import apply_fact
from billing.usecases.observation import Effect, Fetches, Known, Need, Observation
from billing.usecases.operator import Operator
from billing.usecases.publish_outbox import publish_customers
from billing.usecases.rebuild_gate import HELD_BACK, TAKES, Gate, HeldBack, gate_of, round_over

NEEDED_SECONDS = 9.0
"""Left to a slice below which it begins no further object: a call to Stripe may take eight."""

MOST_NAMED = 100
"""Objects left out that are named one by one; beyond it they are only counted."""

_CUSTOMERS = frozenset({"subscriptions", "invoices", "checkouts"})
"""Stages whose objects name their customer: those of strangers are passed over without asking Stripe more."""


@dataclass(slots=True)
class _Tally:
    """What became of a page's objects so far. `after` is the last one done.

    The lists are gone through again where it takes: what does not take is counted but the first time.
    """

    gate: Gate
    stage: Stage
    after: str | None
    counts: dict[str, dict[str, int]]
    left_out: list[dict[str, str]]
    customer_ids: set[int] = field(default_factory=set)
    broken: list[Exception] = field(default_factory=list)

    def count(self, row: Row, what: str) -> None:
        took, self.gate.took, self.after = self.gate.took, False, row.id
        if self.gate.at.step == "give" or what == HELD_BACK or took:
            of_stage = self.counts.setdefault(self.stage, {})
            of_stage[what] = of_stage.get(what, 0) + 1

    def leave_out(self, row: Row, code: str, detail: str) -> None:
        self.count(row, HELD_BACK if code == TAKES else "left_out")
        if len(self.left_out) < MOST_NAMED and (code == TAKES or self.gate.at.step == "give"):
            self.left_out.append({"stage": self.stage, "id": row.id, "code": code, "detail": detail})


@dataclass(frozen=True, slots=True)
class Slice:
    """How far it got, and what broke on the way in a manner nobody foresaw; those objects are left out."""

    rebuild: Rebuild
    broken: tuple[Exception, ...] = ()


def begin(worker: Worker, by: Operator, *, into_nonempty: bool, max_revocations: int | None = None) -> Rebuild:
    """The rebuild at work, or a new one, which may take from so many customers unasked (None: as a run may).

    Raises Refused (`store_not_empty`) where the store knows of sales already, unless `into_nonempty`.
    """
    now = worker.now()
    with transaction(worker.database_url) as connection:
        known = rebuilds.rebuild_at_work(connection)
        if known is not None:
            return known
        sold = rebuilds.anything_sold(connection)
        if sold and not into_nonempty:
            before = rebuilds.latest_rebuild(connection)
            ended = f" Rebuild {before.id} ended at {rfc3339(before.changed_at)}." if before else ""
            raise Refused("store_not_empty", f"The store knows of sales already.{ended}")
        rebuild_id = f"rebuild_{secrets.token_hex(8)}"
        if rebuilds.begin_rebuild(
            connection, rebuild_id, STAGES[0], by.name, now, gated=sold, max_revocations=max_revocations
        ):
            audit.append(connection, by.act("rebuild.start", rebuild_id, project_id=None), now)
        begun = rebuilds.rebuild_at_work(connection)
    if begun is None:
        raise Transient("raced", "another rebuild ended this moment: try again")
    return begun


def rebuild_slice(worker: Worker, at: Rebuild, by: Operator, left: Callable[[], float]) -> Slice:
    """Go on with the rebuild while time is `left` (seconds); published as far as it says.

    Raises Transient where nothing could be done, as when Stripe does not answer; Permanent where Stripe refuses a list.
    """
    begun, broken = at, list[Exception]()
    while at.status == "open" and left() >= NEEDED_SECONDS:
        counts = {name: dict(of_stage) for name, of_stage in at.counts.items()}
        gate = gate_of(worker, at)
        tally = _Tally(gate, cast("Stage", at.stage), at.after, counts, list(at.left_out), broken=broken)
        try:
            page = _page(worker, tally.stage, at.after)
            whole = _take_page(worker, f"run:{at.id}", page, tally, left)
        except Transient as fault:
            at = _save(worker, at, tally, by, more=True)
            # events have their share of Stripe's limit first: then it goes on with the next request
            if at == begun and fault.code != "fetch_budget_spent":
                raise
            break
        at = _save(worker, at, tally, by, more=page.more or not whole)
    return Slice(at, tuple(broken))


def _page(worker: Worker, stage: Stage, after: str | None) -> HistoryPage:
    spend_fetch(worker)
    try:
        return read_page(worker.stripe, stage, after)
    except Rejected as refusal:
        if not refusal.missing("starting_after"):
            raise
    # deleted meanwhile: from the beginning, where all that is done is passed over
    return read_page(worker.stripe, stage, None)


def _save(worker: Worker, at: Rebuild, tally: _Tally, by: Operator, *, more: bool) -> Rebuild:
    """The rebuild with what the tally has, published before it is on record; the next stage where there is no more."""
    publish_customers(worker.publisher, sorted(tally.customer_ids), worker.now())
    now, place = worker.now(), STAGES.index(tally.stage)
    told = replace(at, counts=tally.counts, left_out=tally.left_out, losers=sorted(tally.gate.losers))
    if more:
        further = replace(told, after=tally.after)
    elif place + 1 < len(STAGES):
        further = replace(told, stage=STAGES[place + 1], after=None)
    else:
        further = round_over(worker, told)
    if further == at:
        return at
    done = further.status == "done"
    with transaction(worker.database_url) as connection:
        if rebuilds.advance_rebuild(connection, at, further, now) and done:
            act = by.act("rebuild.done", at.id, project_id=None, after={"counts": further.counts})
            audit.append(connection, act, now)
        stored = rebuilds.latest_rebuild(connection)
    return stored or further


def _take_page(worker: Worker, evidence: str, page: HistoryPage, tally: _Tally, left: Callable[[], float]) -> bool:
    """False: time was up before its end."""
    with transaction(worker.database_url) as connection:
        known = rebuilds.known_ids(connection, tally.stage, [row.id for row in page.rows])
        named = [customer_of(row) for row in page.rows] if tally.stage in _CUSTOMERS else []
        ours = rebuilds.known_ids(connection, "customers", [name for name in named if name])
    for row in page.rows:
        if left() < NEEDED_SECONDS:
            return False
        if row.id in known:
            tally.count(row, "known")
        elif tally.stage in _CUSTOMERS and customer_of(row) not in ours:
            tally.count(row, "foreign")
        else:
            _take(worker, evidence, row, tally)
    return True


def _take(worker: Worker, evidence: str, row: Row, tally: _Tally) -> None:
    try:
        fact = fact_of(worker.stripe, tally.stage, row)
        if fact is None:
            tally.count(row, "passed_over")
            return
        if isinstance(fact, ProductFact):
            effect = _map(worker, row, fact)
        else:
            effect = _apply(worker, evidence, row, fact, tally.gate)
    except Transient:
        raise
    except HeldBack as fault:
        tally.leave_out(row, TAKES, f"{fault}: approve the rebuild, or cancel it")
        return
    except Permanent as fault:
        if fault.code == "unknown_customer":
            tally.count(row, "foreign")
        else:
            tally.leave_out(row, fault.code, fault.detail)
        return
    except Exception as fault:  # noqa: BLE001  whatever it is, a lost store waits for those behind it; its caller tells
        tally.broken.append(fault)
        tally.leave_out(row, "internal", f"it broke its taking ({type(fault).__name__}): report the request")
        return
    tally.customer_ids |= set(effect.customer_ids)
    if effect.status != "ignored":
        tally.count(row, "taken")
    elif isinstance(fact, CustomerFact) and fact.user_id is not None:
        tally.leave_out(row, "not_adopted", "its user has another Stripe customer, or no project has its namespace")
    else:
        tally.count(row, "foreign")


def _map(worker: Worker, row: Row, fact: ProductFact) -> Effect:
    """A product comes to the project that its metadata names. Raises Permanent (`unknown_project`)."""
    project_id = project_of(row)
    if project_id is None:
        return Effect("ignored")
    with transaction(worker.database_url) as connection:
        if projects.find_project(connection, project_id) is None:
            raise Permanent("unknown_project", f"it names project {project_id}: create that, then rebuild once more")
        catalog.insert_product(connection, project_id, fact, row.at)
    return Effect("applied")


def _apply(worker: Worker, evidence: str, row: Row, fact: EventFact, gate: Gate) -> Effect:
    """As an event would. The row counts as fetched when the store had none: if it has one by now, Stripe is asked."""
    seen = Observation(fact, row.at, evidence, "run", trusted=False)

    def attempt(fetched: Fetches) -> Effect:
        with transaction(worker.database_url) as connection:
            if _strange(connection, fact):
                return Effect("ignored")
            effect = apply_fact(connection, seen, fetched, worker.now())
            gate.admit(connection, worker, effect)
            return effect

    return with_fetches(worker.stripe, _told(fact, row.at), attempt, lambda: spend_fetch(worker))


def _told(fact: EventFact, at: int) -> dict[Need, Known]:
    """What the list tells whole; the rest is fetched one by one."""
    match fact:
        case SubscriptionFact() if not fact.truncated and not fact.untold_discounts:
            return {Need("subscription", fact.id): Known(Fetched(fact, at), 0)}
        case PriceFact() if not fact.incomplete:
            return {Need("price", fact.id): Known(Fetched(fact, at), 0)}
        case CheckoutFact():
            return {Need("checkout", fact.id): Known(Fetched(fact, at), 0)}
        case _:
            return {}


def _strange(connection: Connection, fact: EventFact) -> bool:
    """Prices of products, and invoices of subscriptions, that are not the store's."""
    match fact:
        case PriceFact():
            return catalog.project_of_product(connection, fact.product_id) is None
        case InvoiceFact(subscription_id=str(subscription_id)):
            return not rebuilds.known_ids(connection, "subscriptions", [subscription_id])
        case _:
            return False
