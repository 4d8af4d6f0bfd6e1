"""The stage: the actors, whose steps are played one at a time, and what can happen to a step."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation import frames
from tests.simulation.actors import Actor, Task
from tests.simulation.book import Book, Moment
from tests.simulation.faults import Plan
from tests.simulation.gate import Gate, Link

_DEADLOCK = "40P01"


@dataclass(eq=False)
class Stage:
    """`counts` are totals for the report, `story` is what happened, in order.

    `freed`: some transaction has ended since blocked actors were last looked at. `first_commits`: what the store held
    after the first commit of an actor's present task. `zombies`: requests that will arrive late, at which step.
    """

    gate: Gate
    book: Book
    plan: Plan
    rng: random.Random
    actors: list[Actor] = field(default_factory=list)
    step: int = 0
    calm: bool = False
    freed: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    zombies: list[tuple[int, bytes]] = field(default_factory=list)
    first_commits: dict[str, Moment] = field(default_factory=dict)
    last_asked: tuple[str, str] = ("", "")

    def tell(self, who: str, what: str) -> None:
        self.story.append(f"{self.step:5} {who:10} {what[:150]}")

    def of_role(self, role: str) -> list[Actor]:
        return [actor for actor in self.actors if actor.role == role]

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, actor: Actor, task: Task) -> None:
        self.first_commits.pop(actor.name, None)
        self.counts["tasks"] += 1
        self.tell(actor.name, f"begins: {task.label}")
        actor.begin(task)
        self._let_run(actor)

    def run_alone(self, actor: Actor, task: Task) -> None:
        """Start to end, while everybody else rests."""
        self.begin(actor, task)
        while actor.task:
            self.play(actor)

    def _let_run(self, actor: Actor) -> None:
        """Until it asks for something, or has ended its task."""
        if actor.blocked:
            return
        self.gate.settle(actor.name, actor.has_ended)
        if actor.has_ended() and actor.task:
            task = actor.task
            task.finished(actor.take_result())

    # ── one step of one actor ────────────────────────────────────────────────────────────────────────────────────

    def play(self, actor: Actor) -> None:
        """The held request of the actor goes out, or does not, as the fault plan has it."""
        link = self.gate.sides[actor.name].held
        if link is not None:
            self.last_asked = actor.name, link.asked or ""
            fault = None if self.calm else self.plan.next(link, self.step)
            self.tell(actor.name, f"{link.asked}" if fault is None else f"{link.asked}: {fault}")
            if fault is None:
                self._exchange(actor, link)
            elif self._suffer(actor, link, fault):
                return
        self._let_run(actor)

    def _suffer(self, actor: Actor, link: Link, fault: str) -> bool:
        """What the fault does. True: the actor's turn ends with it."""
        actor.troubled = True
        self.plan.troubled[actor.name] = self.step
        self.freed = True
        self.counts["faults"] += 1
        match fault:
            case "crash before":
                self._crash(actor)
                return True
            case "crash after":
                if self._reach(actor, link):
                    self._crash(actor)
                return True
            case "broken after":
                if not self._reach(actor, link):
                    return True
            case "late":
                self.zombies.append((self.step + self.rng.randrange(5, 300), link.request))
            case "refused":
                self.gate.hand_over(link, self.plan.refusal(link))
                return False
        self.gate.hang_up(link)
        return False

    def _exchange(self, actor: Actor, link: Link) -> None:
        if link.asked == "PutEvents":
            self._reach(actor, link)
            self.gate.hand_over(link, frames.http_answer(200, {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
        elif self._reach(actor, link) and link in self.gate.sides[actor.name].links:
            self.gate.hand_over(link)

    def _reach(self, actor: Actor, link: Link) -> bool:
        """Have the server do it. False: PostgreSQL makes the actor wait for another's lock.

        The bus is the book itself: nothing in the product reads from it.
        """
        if link.asked == "PutEvents":
            self.book.announce(json.loads(frames.http_body(link.request)))
            return True
        self.gate.pass_on(link)
        if not self.gate.await_reply(link):
            actor.blocked = True
            self.counts["lock waits"] += 1
            self.tell(actor.name, "… waits for a lock")
            self._look_for_deadlock(actor, link)
            return False
        self._replied(actor, link)
        return True

    def _replied(self, actor: Actor, link: Link) -> None:
        reply = self.gate.reply_of(link)
        if reply is not None:
            self.freed = self.freed or reply.idle
            self.counts["deadlocks"] += reply.fault == _DEADLOCK
        if link.asked == "COMMIT":
            moment = self.book.look()
            self.first_commits.setdefault(actor.name, moment)

    def _crash(self, actor: Actor) -> None:
        """The actor's process is killed, and another started in its place."""
        self.counts["crashes"] += 1
        self.freed = True
        self.gate.cut_off(actor.name)
        task, actor.task = actor.task, None
        actor.restart()
        if task is not None:
            task.crashed()

    # ── requests that arrive late ────────────────────────────────────────────────────────────────────────────────

    def deliver_late_requests(self, *, all_of_them: bool = False) -> None:
        due = [request for at, request in self.zombies if all_of_them or at <= self.step]
        self.zombies = [] if all_of_them else [(at, request) for at, request in self.zombies if at > self.step]
        for request in due:
            self.tell("network", f"delivers late: {frames.http_label(request)}")
            self.gate.replay("aws", request)

    # ── locks ────────────────────────────────────────────────────────────────────────────────────────────────────

    def unblock(self) -> None:
        """Let those go on whose locks were set free: only a transaction that ended can have done it."""
        if not self.freed:
            return
        self.freed = False
        for actor in self.actors:
            link = self.gate.sides[actor.name].awaited
            if not actor.blocked or (link is not None and self.plan.watch.waits_for_lock(link.backend)):
                continue
            if link is None or self.gate.await_reply(link):
                self._go_on(actor, link)

    def _go_on(self, actor: Actor, link: Link | None) -> None:
        actor.blocked = False
        if link is not None and link in self.gate.sides[actor.name].links:
            self._replied(actor, link)
            self.tell(actor.name, "… goes on")
            self.gate.hand_over(link)
        self._let_run(actor)

    def _look_for_deadlock(self, actor: Actor, link: Link) -> None:
        if self.plan.watch.in_deadlock(link.backend):
            self.tell(actor.name, "… deadlock: PostgreSQL picks a victim")
            self.plan.watch.wait_out_deadlock(link.backend)
            self.freed = True

    def choices(
        self, beginning: Callable[[Actor], Callable[[], None] | None]
    ) -> list[tuple[Actor, Callable[[], None]]]:
        """What each actor that is not waiting for a lock can do next."""
        found = []
        for actor in self.actors:
            if not actor.blocked:
                choice = beginning(actor) if actor.task is None else self._turn_of(actor)
                if choice is not None:
                    found.append((actor, choice))
        return found

    def _turn_of(self, actor: Actor) -> Callable[[], None]:
        return lambda: self.play(actor)
