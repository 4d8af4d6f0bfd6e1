"""A run over a pass of its own making: slices, lease, trial, gate; killed anywhere, it ends as if nothing had been."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from billing.cache.client import Client
from billing.domain.drift import PassName
from billing.errors import Permanent, Refused, Transient
from billing.messages.bus import Bus
from billing.payments.client import connect
from billing.runtime.aws import DYNAMODB, EVENTBRIDGE, AwsClient
from billing.store import audit, runs
from billing.store.connection import close, transaction
from billing.store.runs import Run
from billing.usecases.apply_event import Worker
from billing.usecases.manage_runs import Wanted, approve_run, cancel_run, open_run
from billing.usecases.operator import Operator
from billing.usecases.passes import Drift
from billing.usecases.publish_outbox import Publisher
from billing.usecases.reconcile import Driver, Slice, work
from billing.usecases.reconcile_steps import Pass
from tests.support.cut_postgres import ANYTHING, Cut, CutPostgres, run_cut_postgres
from tests.support.toy_pass import ToyPass, make_toys, repairs, stripe_is_away

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ANN = Operator("ann the operator", "key_1", "req_1")
NOBODY_THERE = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}
PLENTY = 1e9


class Died(BaseException):
    """The process is gone: no `except Exception` of ours runs any more."""


@dataclass
class Works:
    """Runs over the toys of a database."""

    database_url: str
    toy: ToyPass = field(default_factory=ToyPass)
    passes: tuple[PassName, ...] = ("listing",)
    told: list[tuple[int, str]] = field(default_factory=list)

    def toys(self, *names: str) -> None:
        make_toys(self.database_url, names)

    def open(self, *, dry_run: bool = False, max_revocations: int | None = None, by: Operator | None = None) -> Run:
        wanted = Wanted(passes=self.passes, dry_run=dry_run, max_revocations=max_revocations)
        with transaction(self.database_url) as connection:
            return open_run(connection, wanted, by, NOW)

    def driver(self, **other: Any) -> Driver:
        publisher = Publisher(
            self.database_url,
            Client(AwsClient(DYNAMODB, 0.2, NOBODY_THERE), "none", write_timeout=0.2),
            Bus(AwsClient(EVENTBRIDGE, 0.2, NOBODY_THERE), "none"),
        )
        worker = Worker(connect("sk_test_none", "http://127.0.0.1:9"), publisher, livemode=False, now=lambda: NOW)
        passes = {name: Pass(self.toy.find, self.toy.repair) for name in self.passes}
        made = Driver(
            worker,
            passes,
            "worker_1",
            left=lambda: PLENTY,
            tell=lambda _run, number, fault: self.told.append((number, str(fault))),
            calls_per_second=float("inf"),
            sleep=lambda _seconds: None,
        )
        return replace(made, **other)

    def work(self, **other: Any) -> Slice:
        return work(self.driver(**other))

    def run(self, run_id: str) -> Run:
        with transaction(self.database_url) as connection:
            found = runs.find_run(connection, run_id)
        assert found is not None
        return found

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with transaction(self.database_url) as connection:
            return connection.execute(sql.encode()).fetchall()

    def drifts(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT object_id, status, takes FROM drifts ORDER BY run_id, n")

    def approve(self, run: Run) -> Run:
        with transaction(self.database_url) as connection:
            return approve_run(connection, run.id, ANN, "looked at each", NOW + timedelta(hours=1))

    def cancel(self, run: Run) -> Run:
        with transaction(self.database_url) as connection:
            return cancel_run(connection, run.id, ANN, "not today", NOW)


@pytest.fixture
def works(database_url: str) -> Iterator[Works]:
    yield Works(database_url)
    close(database_url)


# --- what a run does -----------------------------------------------------------------------------------------------


def test_a_run_repairs_each_drift_once_and_keeps_the_evidence(works: Works) -> None:
    works.toys("a", "b", "c")
    run = works.open()

    ended = works.work()

    assert (ended.ended, ended.counts) == ("done", {"field_mismatch": {"repaired": 3}})
    assert repairs(works.database_url) == {"a": 1, "b": 1, "c": 1}
    over = works.run(run.id)
    assert (over.status, over.finished_at, over.listed) == ("done", NOW, 3)
    assert over.counts == {"field_mismatch": {"repaired": 3}}
    assert over.listing_hash is not None
    assert works.rows("SELECT * FROM run_listing") == []


def test_a_second_run_finds_nothing(works: Works) -> None:
    works.toys("a", "take-1")
    for counts in ({"field_mismatch": {"repaired": 2}}, {}):
        works.open()
        assert works.work().counts == counts


def test_the_same_listing_has_the_same_hash_however_it_was_sliced(works: Works) -> None:
    works.toys("a", "b", "c")
    hashes = []
    for left in (PLENTY, 0.0):
        run = works.open(dry_run=True)
        lefts = iter([PLENTY, left] * 50)
        while works.work(left=lambda lefts=lefts: next(lefts)).ended == "more":
            pass
        hashes.append(works.run(run.id).listing_hash)
    assert hashes[0] == hashes[1]


def test_a_dry_run_tries_everything_and_changes_nothing(works: Works) -> None:
    works.toys("a", "take-1")
    run = works.open(dry_run=True, by=ANN)

    assert works.work().ended == "done"

    assert repairs(works.database_url) == {"a": 0, "take-1": 0}
    assert works.drifts() == [("a", "found", False), ("take-1", "found", True)]
    assert works.run(run.id).counts == {"field_mismatch": {"found": 2}}
    assert works.rows("SELECT action FROM audit") == []


def test_the_passes_follow_each_other(works: Works) -> None:
    works.passes = ("events", "listing")
    works.toys("a")
    run = works.open()
    assert works.work().ended == "done"
    assert works.rows("SELECT pass, object_id, status FROM drifts") == [("events", "a", "repaired")]
    assert works.run(run.id).listed == 2


def test_a_drift_that_cannot_be_repaired_holds_up_no_other(works: Works) -> None:
    works.toys("a", "b", "c")
    works.toy.broken = {"a": Permanent("unmapped_price", "import its product"), "b": ZeroDivisionError("bug")}
    works.open()

    assert works.work().counts == {"field_mismatch": {"failed": 2, "repaired": 1}}

    assert works.rows("SELECT reason FROM drifts WHERE status = 'failed' ORDER BY n") == [
        ("unmapped_price: import its product",),
        ("internal: ZeroDivisionError: the log has more under the run's id",),
    ]
    assert works.told == [(2, "bug")]


def test_a_pass_that_breaks_fails_its_run_and_the_next_may_begin(works: Works) -> None:
    def bug() -> None:
        raise ZeroDivisionError("bug")

    works.toys("a")
    works.toy.before_page = bug
    run = works.open()

    ended = works.work()

    assert (ended.ended, ended.code) == ("failed", "ZeroDivisionError")
    assert works.run(run.id).error == "ZeroDivisionError"
    works.open()


# --- the gate ------------------------------------------------------------------------------------------------------


def test_a_run_that_would_take_too_much_gives_and_stops_before_the_first(works: Works) -> None:
    works.toys("a", "take-1", "take-2", "take-3", "z")
    run = works.open(max_revocations=2)

    assert works.work().ended == "waiting"

    assert repairs(works.database_url) == {"a": 1, "take-1": 0, "take-2": 0, "take-3": 0, "z": 1}
    assert works.run(run.id).status == "waiting"
    assert works.work().ended == "idle"


def test_a_run_takes_what_is_within_its_limit(works: Works) -> None:
    works.toys("take-1", "take-2")
    works.open(max_revocations=2)
    assert works.work().ended == "done"
    assert repairs(works.database_url) == {"take-1": 1, "take-2": 1}


def test_unless_it_is_told_otherwise_a_run_may_take_from_ten(works: Works) -> None:
    works.toys(*(f"take-{n:02}" for n in range(11)))
    works.open()
    assert works.work().ended == "waiting"


def test_what_an_earlier_pass_took_counts(works: Works) -> None:
    works.passes = ("events", "listing")
    works.toys("take-1", "take-2")
    listing = iter(["take-3", "take-4"])

    def more(drift: Drift, commit: bool) -> None:
        if commit:
            with transaction(works.database_url) as connection:
                connection.execute("INSERT INTO toys (id) VALUES (%s)", (next(listing),))

    works.toy.before_repair = more
    run = works.open(max_revocations=3)
    assert works.work().ended == "waiting"
    assert works.run(run.id).progress.doing == "listing"
    assert repairs(works.database_url) == {"take-1": 1, "take-2": 1, "take-3": 0, "take-4": 0}


def test_whoever_loses_only_by_two_repairs_together_is_held_back_at_the_second(works: Works) -> None:
    works.toys("one", "two")
    works.rows("UPDATE toys SET covered_by = 'one' WHERE id = 'two' RETURNING id")
    works.open(max_revocations=0)
    assert works.work().ended == "waiting"
    assert repairs(works.database_url) == {"one": 1, "two": 0}


def test_an_approved_run_looks_afresh_and_then_takes(works: Works) -> None:
    works.toys("take-1", "take-2")
    run = works.open(max_revocations=0)
    works.work()
    works.rows("DELETE FROM toys WHERE id = 'take-2' RETURNING id")

    approved = works.approve(run)

    assert (approved.status, approved.approved_takes, approved.approved_by) == ("open", 2, ANN.name)
    assert works.work().ended == "done"
    assert repairs(works.database_url) == {"take-1": 1}
    assert works.drifts() == [("take-1", "repaired", True)]
    with transaction(works.database_url) as connection:
        acts = [link.entry.action for link in audit.list_acts(connection, limit=10)]
    assert acts == ["reconcile.approve"]


def test_an_approved_run_that_would_take_more_than_was_approved_waits_again(works: Works) -> None:
    works.toys("take-1")
    run = works.open(max_revocations=0)
    works.work()
    works.approve(run)
    works.rows("INSERT INTO toys (id) VALUES ('take-2') RETURNING id")
    assert works.work().ended == "waiting"
    assert repairs(works.database_url) == {"take-1": 0, "take-2": 0}


def test_only_a_run_that_waits_can_be_approved(works: Works) -> None:
    works.toys("a")
    run = works.open()
    with pytest.raises(Refused, match="run_not_waiting"):
        works.approve(run)


# --- one at a time, slice by slice ---------------------------------------------------------------------------------


def test_a_run_is_refused_while_another_is_open_or_waits(works: Works) -> None:
    works.toys("take-1")
    first = works.open(max_revocations=0)
    with pytest.raises(Refused, match="run_open") as refused:
        works.open()
    assert refused.value.extra == {"run_id": first.id}
    works.work()
    with pytest.raises(Refused, match="waiting"):
        works.open()
    works.cancel(first)
    works.open()


def test_a_canceled_run_writes_nothing_any_more(works: Works) -> None:
    works.toys("a", "b")
    run = works.open()

    def meanwhile(drift: Drift, _commit: bool) -> None:
        if drift.object_id == "b":
            works.cancel(run)

    works.toy.before_repair = meanwhile
    assert works.work().ended == "taken_over"
    assert repairs(works.database_url) == {"a": 1, "b": 0}
    assert works.run(run.id).status == "canceled"


def test_a_slice_whose_time_is_over_leaves_the_rest_to_the_next(works: Works) -> None:
    works.toys(*"abcdefg")
    works.open()
    slices = 0
    ended = "more"
    while ended == "more":
        lefts = iter([PLENTY, PLENTY] + [0.0] * 9)
        ended = works.work(left=lambda lefts=lefts: next(lefts)).ended
        slices += 1
    assert ended == "done"
    assert slices > 4
    assert set(repairs(works.database_url).values()) == {1}


def test_two_workers_at_once_repair_everything_once(works: Works) -> None:
    works.toys(*(f"t{n:03}" for n in range(60)))
    works.open()
    barrier = Barrier(2)
    ends: list[str] = []

    def one(name: str) -> None:
        barrier.wait()
        ended = "idle"
        while works.rows("SELECT FROM runs WHERE status = 'open'"):
            lefts = iter([PLENTY] * 7 + [0.0] * 99)
            ended = works.work(holder=name, left=lambda lefts=lefts: next(lefts)).ended
        ends.append(ended)
        close(works.database_url)

    threads = [Thread(target=one, args=(name,)) for name in ("worker_1", "worker_2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ends) == 2
    assert set(repairs(works.database_url).values()) == {1}


@pytest.mark.parametrize("commit", [False, True])
def test_a_worker_that_slept_past_its_lease_repairs_nothing_any_more(works: Works, commit: bool) -> None:
    works.toys("a", "b")
    works.open()
    asleep, wake = Event(), Event()
    slow = Works(works.database_url)

    def sleep(_drift: Drift, committing: bool) -> None:
        if committing is commit and not asleep.is_set():
            asleep.set()
            assert wake.wait(30)

    slow.toy.before_repair = sleep
    ends: list[Slice] = []

    def one() -> None:
        ends.append(slow.work(lease=timedelta(0)))
        close(works.database_url)

    thread = Thread(target=one)
    thread.start()
    assert asleep.wait(30)
    assert works.work(holder="worker_2").ended == "done"
    wake.set()
    thread.join(30)
    assert [end.ended for end in ends] == ["taken_over"]
    assert repairs(works.database_url) == {"a": 1, "b": 1}
    assert works.drifts() == [("a", "repaired", False), ("b", "repaired", False)]


# --- faults --------------------------------------------------------------------------------------------------------


def test_where_stripe_is_away_a_slice_pauses_longer_each_time_and_then_keeps_its_checkpoint(works: Works) -> None:
    works.toys("a")
    works.toy.before_page = stripe_is_away
    run = works.open()
    pauses: list[float] = []

    ended = works.work(sleep=pauses.append)

    assert (ended.ended, ended.code) == ("interrupted", "stripe_unavailable")
    assert len(pauses) == 3
    assert all(2**n / 2 <= pause <= 2**n for n, pause in enumerate(pauses, 1))
    assert (works.run(run.id).status, works.run(run.id).error) == ("open", "stripe_unavailable")
    works.toy = ToyPass()
    assert works.work().ended == "done"


def test_a_pause_that_stripe_asks_for_is_kept(works: Works) -> None:
    answers = iter([Transient("stripe_unavailable", "slow down", retry_after=17)])

    def limited() -> None:
        for answer in answers:
            raise answer

    works.toys("a")
    works.toy.before_page = limited
    works.open()
    pauses: list[float] = []
    assert works.work(sleep=pauses.append).ended == "done"
    assert pauses == [17]


def test_one_drift_that_can_never_be_asked_for_is_given_up_after_ten_slices(works: Works) -> None:
    works.toys("a", "b")
    works.toy.broken = {"a": Transient("contended", "it keeps changing")}
    works.open()
    ends = [works.work().ended for _ in range(11)]
    assert ends == ["interrupted"] * 10 + ["done"]
    assert repairs(works.database_url) == {"a": 0, "b": 1}
    assert works.rows("SELECT reason FROM drifts WHERE status = 'failed'") == [
        ("contended: it kept failing; the next run finds it again",)
    ]


def test_a_pass_whose_staged_rows_a_crash_of_the_server_emptied_begins_again(works: Works) -> None:
    works.toys("a", "b", "c", "d")
    works.open()
    lefts = iter([PLENTY, 0.0, 0.0])
    assert works.work(left=lambda: next(lefts)).ended == "more"
    assert works.rows("SELECT count(*) FROM drifts") == [(2,)]
    works.rows("DELETE FROM run_listing RETURNING run_id")
    asked: list[object] = []
    works.toy.before_page = lambda: asked.append(works.rows("SELECT checkpoint -> 'position' FROM runs")[0][0])
    assert works.work().ended == "done"
    assert asked[0] == {}
    assert works.drifts() == [(name, "repaired", False) for name in "abcd"]


NAMES = ("a", "take-1")


def through(works: Works, line: CutPostgres, cuts: list[Cut | None], sleep: Callable[[float], None]) -> bool:
    """A run to its end over a line that is cut once. False: it was over before the cut."""
    works.toys(*NAMES)
    works.rows("DELETE FROM runs RETURNING id")
    works.open(max_revocations=2)
    over = replace(works, database_url=line.url)
    line.cuts[:] = cuts
    for _ in range(9):
        try:
            ended = over.work(sleep=sleep, lease=timedelta(0)).ended
        except (Transient, Died):
            ended = "more"
        finally:
            close(line.url)
        if ended in {"done", "idle"}:  # idle: it was done, but the answer to its last COMMIT was not heard
            break
    cut = not line.cuts
    line.cuts.clear()
    assert works.rows("SELECT status FROM runs") == [("done",)]
    return cut


def nothing(_seconds: float) -> None:
    """No pause."""


def die(_seconds: float) -> None:
    raise Died


@pytest.mark.parametrize(
    ("first", "side", "sleep"),
    [(0, "question", die), (1, "answer", nothing), (2, "answer", die)],
    ids=["the process dies before it is said", "it goes on", "the process dies before the answer"],
)
def test_cut_off_between_any_two_statements_a_run_ends_as_if_it_had_not_been(
    works: Works, first: int, side: Cut, sleep: Callable[[float], None]
) -> None:
    """Every third statement each way; from another one each, so that all are met."""
    with run_cut_postgres(works.database_url, ANYTHING) as line:
        place = first
        while through(works, line, [None] * place + [side], sleep):
            assert repairs(works.database_url) == dict.fromkeys(NAMES, 1), place
            kept = [(name, status) for name, status, _ in works.drifts()]
            assert kept == [(name, "repaired") for name in NAMES], place
            place += 3
    assert place > 60


# --- retention -------------------------------------------------------------------------------------------------------


def ended(works: Works, run_id: str, days: int, found: str, *, dry_run: bool = False) -> None:
    """A run of so many days ago, and one drift of it: kind and status."""
    works.toys()
    began, (kind, status) = NOW - timedelta(days=days), found.split()
    with transaction(works.database_url) as connection:
        connection.execute(
            "INSERT INTO runs (id, cause, actor, passes, status, dry_run, cut_at, started_at, finished_at)"
            " VALUES (%(id)s, 'schedule', 'billing', '{listing}', 'done', %(dry)s, %(at)s, %(at)s, %(at)s)",
            {"id": run_id, "dry": dry_run, "at": began},
        )
        connection.execute(
            "INSERT INTO drifts (run_id, n, pass, kind, object_type, object_id, before, after, status, found_at)"
            " VALUES (%s, 1, 'listing', %s, 'customer', 'cus_1', '{}', '{}', %s, %s)",
            (run_id, kind, status, began),
        )


def test_the_days_run_deletes_runs_of_long_ago_but_what_a_person_was_told_once(works: Works) -> None:
    ended(works, "run_kept", 399, "field_mismatch repaired")
    ended(works, "run_old", 401, "field_mismatch repaired")
    ended(works, "run_told", 900, "orphan left")
    ended(works, "run_dry", 900, "orphan left", dry_run=True)
    today = works.open()

    works.work()

    assert works.rows("SELECT run_id FROM drifts ORDER BY run_id") == [("run_kept",), ("run_told",)]
    assert {run_id for (run_id,) in works.rows("SELECT id FROM runs")} == {"run_kept", "run_told", today.id}


def test_a_run_that_somebody_asked_for_deletes_none(works: Works) -> None:
    ended(works, "run_old", 401, "field_mismatch repaired")
    works.open(by=ANN)

    assert works.work().ended == "done"

    assert works.rows("SELECT run_id FROM drifts") == [("run_old",)]


def test_what_the_slice_has_no_time_for_is_left_to_the_next_days(works: Works) -> None:
    ended(works, "run_old", 401, "field_mismatch repaired")
    today = works.open()

    def left() -> float:
        return 0.0 if works.run(today.id).progress.step == "end" else PLENTY

    assert works.work(left=left).ended == "done"

    assert works.rows("SELECT run_id FROM drifts") == [("run_old",)]
