"""Weeks of random lives of which the product hears little or nothing, and the reconciliation that makes up for it."""

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billing.domain.drift import PASSES, PassName
from billing.store.connection import transaction
from billing.usecases.answer_check import Question, answer
from billing.usecases.apply_event import apply_event
from billing.usecases.ensure_customer import ensure_customer
from billing.usecases.manage_runs import Wanted, open_run
from billing.usecases.reconcile import Driver, Slice, work
from billing.usecases.reconcile_passes import PASSES as REAL
from tests.simulation import catalog
from tests.simulation.actors import Parts
from tests.simulation.book import Book, Violation
from tests.simulation.operators import Office
from tests.simulation.stripe_api import Obj
from tests.simulation.verdict import Rest, compare
from tests.simulation.world import BEGINNING, DAY, USERS, World

_OPERATORS = 0.12
"""Of all deeds: the rest is the world's."""

_HEARD = (0.0, 0.0, 0.5, 0.9, 1.0)
"""How much of what Stripe sends comes through; drawn anew for each phase of a life that is not all silence."""

_LEAPS = (3600, DAY, 2 * DAY, 4 * DAY)
_ON = 0.7
"""How far time may go while a few things happen, and how often it does go so far then."""

_LATEST = 3 * DAY
"""So long Stripe goes on trying."""

_PLENTY = 10**9


@dataclass(frozen=True)
class Kind:
    """`days` of a life and the passes of the run after it. `heard`: some deliveries come, late and in any order.
    `meanwhile`: life goes on between the slices of the run, and a last run follows.
    """

    days: int
    passes: tuple[PassName, ...]
    heard: bool = False
    meanwhile: bool = False


KINDS: Mapping[str, Kind] = {
    "silent": Kind(40, PASSES),
    "listing": Kind(40, ("listing",)),
    "events": Kind(27, ("events",)),
    "deaf": Kind(40, PASSES, heard=True),
    "deaf-listing": Kind(40, ("listing",), heard=True),
    "deaf-events": Kind(27, ("events",), heard=True),
    "meanwhile": Kind(40, PASSES, heard=True, meanwhile=True),
}


@dataclass(eq=False)
class SilentLife:
    """`on_the_way` are events that Stripe still tries to deliver. `story` is what happened, in order."""

    kind: Kind
    world: World
    office: Office
    book: Book
    parts: Parts
    rng: random.Random
    on_the_way: list[Obj] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    _heard: float = 1.0

    def play(self) -> None:
        """Raises Violation where a run does not make up for all that was not heard."""
        self._live_until(BEGINNING + self.kind.days * DAY)
        self._ask_everything()
        self._wait_for_a_quiet_second()
        if self.kind.meanwhile:
            self.run(lively=True)
            self._wait_for_a_quiet_second()
        self.run()
        if self._something_happens():
            self._wait_for_a_quiet_second()
            self.run()
        found = self.run()
        if found:
            raise Violation(f"a run right after a run found {found}: {self._drifts()}")
        self._compare()
        if self.on_the_way:
            self._hear(self.on_the_way)
            self._compare()

    # ── the life ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _live_until(self, end: int) -> None:
        spoils_at = end - 15 * DAY
        while self.world.now < end:
            if self.world.now > spoils_at:
                self._spoil_a_card()
                spoils_at = end
            self.world.horizon = min(end, self.world.now + self.rng.choice(_LEAPS))
            for _ in range(self.rng.randrange(1, 6)):
                self._live_on()
            if self.rng.random() < _ON:
                self.world.move_clock(int(self.world.horizon - self.world.now))

    def _live_on(self) -> None:
        self.counts["deeds"] += 1
        if self.rng.random() < _OPERATORS:
            self._carry_out_an_order()
        elif not self._sign_up():
            self._tell("world", self.world.act())
        self._take_news()
        self.book.look()

    def _spoil_a_card(self) -> None:
        """So that somebody is past due when the silence ends, or was."""
        if self.world.living:
            user = self.rng.choice(sorted(self.world.living))
            self.world.double.control.set_card(self.world.living[user], "decline")
            self._tell(user, "has a card that is declined from now on")

    def _tell(self, who: str, what: str) -> None:
        self.story.append(f"day {(self.world.now - BEGINNING) / DAY:5.2f} {who:8} {what[:200]}")

    def _carry_out_an_order(self) -> None:
        order = self.office.next_order(self.world.present())
        order.run(self.parts)
        self.office.open.remove(order)
        self._tell("operator", order.label)

    def _sign_up(self) -> bool:
        """Now and then somebody who is no customer opens a checkout: what they are in Stripe is known at once."""
        strangers = [user for user in USERS if user not in self.world.living]
        if not strangers or self.rng.random() < 0.8:
            return False
        user = self.rng.choice(strangers)
        linked = ensure_customer(self.parts.worker.database_url, self.parts.worker.stripe, catalog.NAMESPACE, user)
        if linked.stripe_id in self.world.customers.get(user, []):
            return False  # deleted in Stripe, which nobody has heard of yet
        self.world.link(user, linked.stripe_id)
        self._tell(user, "becomes a customer")
        return True

    def _wait_for_a_quiet_second(self) -> None:
        """What is done in a run's own second is left to events, and so to the next run where none are heard."""
        while self._something_happens():
            continue

    def _something_happens(self) -> bool:
        """A second passes. A period may end in it."""
        self.world.move_clock(1)
        before = self.counts["events"]
        self._take_news()
        return self.counts["events"] > before

    # ── what is heard of it ──────────────────────────────────────────────────────────────────────────────────────

    def _take_news(self) -> None:
        news = [*self.world.pending_news, *self.world.take_news()]
        self.world.pending_news.clear()
        self.book.hear(news)
        self.counts["events"] += len(news)
        if not self.kind.heard:
            return
        if self.rng.random() < 0.05:
            self._heard = self.rng.choice(_HEARD)
            self._tell("webhooks", f"of what is sent {self._heard:.0%} come through")
        self.on_the_way += [event for event in news if self.rng.random() < self._heard]
        late = self.rng.random() < 0.4
        due = [e for e in self.on_the_way if not late or e["created"] < self.world.now - _LATEST]
        self._hear(due)

    def _hear(self, events: list[Obj]) -> None:
        """In any order, some of them twice."""
        for event in self.rng.sample(events, len(events)):
            for _ in range(self.rng.choice([1, 1, 1, 2])):
                outcome = apply_event(self.parts.worker, json.dumps(event).encode())
                self.counts["deliveries"] += 1
                if outcome.status == "failed":
                    raise Violation(f"{event['id']} ({event['type']}) ended as failed: {outcome.reason}")
            self.book.look()
        told = {event["id"] for event in events}
        self.on_the_way = [event for event in self.on_the_way if event["id"] not in told]

    # ── the reconciliation ───────────────────────────────────────────────────────────────────────────────────────

    def run(self, *, lively: bool = False) -> Mapping[str, Mapping[str, int]]:
        """A run from its beginning to its end. Returns what it found, {kind: {status: number}}. `lively`: while life
        goes on, between its slices.
        """
        with transaction(self.parts.worker.database_url) as connection:
            open_run(connection, Wanted(passes=self.kind.passes), None, self.world.present())
        while (ended := self._slice(self.rng.randrange(1, 12) if lively else _PLENTY)).ended == "more":
            self.counts["slices"] += 1
            self.world.horizon = self.world.now + DAY
            self._live_on()
        if ended.ended != "done":
            raise Violation(f"the run ended as {ended.ended}: {ended.code} {ended.fault!r}") from ended.fault
        self._tell("run", f"found {ended.counts}")
        self.counts["runs"] += 1
        self.counts["drifts"] += sum(sum(of.values()) for of in ended.counts.values())
        if any("failed" in of for of in ended.counts.values()):
            raise Violation(f"repairs failed: {self._drifts()}")
        return ended.counts

    def _slice(self, steps: int) -> Slice:
        left = iter(range(steps))

        def broke(_run: str, number: int, fault: Exception) -> None:
            raise Violation(f"drift {number} broke its repair: {fault!r}") from fault

        ended = work(
            Driver(
                self.parts.worker,
                REAL,
                "the only worker",
                left=lambda: float(next(left, -1) >= 0),
                tell=broke,
                calls_per_second=float("inf"),
                sleep=lambda _seconds: None,
            )
        )
        self.book.look()
        return ended

    def _drifts(self) -> list[tuple[Any, ...]]:
        return self.book.connection.execute(
            "SELECT d.kind, d.object_type, d.object_id, d.status, d.reason, d.before, d.after"
            " FROM drifts AS d JOIN runs AS r ON r.id = d.run_id ORDER BY r.started_at DESC, d.n LIMIT 3"
        ).fetchall()

    # ── the verdict ──────────────────────────────────────────────────────────────────────────────────────────────

    def _ask_everything(self) -> None:
        """So that each item of the cache is fresh: only a publication can make it say something else now."""
        for secret, (project, _) in self.office.keys.items():
            for user in USERS:
                answer(self.parts.reading, secret, Question(user), self.world.present())
            self._tell("reader", f"asked all of {project}")

    def _compare(self) -> None:
        """Nobody sweeps before: what a run or a delivery owes still is a fault of theirs."""
        reading = self.parts.reading
        compare(Rest(self.world, self.office, self.book, lambda *question: answer(reading, *question)))
