"""What actors do, by role: the product's own use cases, and what their outcome promises or must not be."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from billing.errors import Refused, Transient
from billing.usecases.answer_check import Answer, Question, answer
from billing.usecases.apply_event import Outcome, apply_checkout_now
from billing.usecases.apply_message import apply_message
from billing.usecases.ensure_customer import Linked, ensure_customer
from billing.usecases.publish_outbox import Swept, sweep
from tests.simulation import catalog
from tests.simulation.actors import Actor, Task
from tests.simulation.book import Moment, Violation
from tests.simulation.deliveries import Message, Queue
from tests.simulation.operators import Office, Order
from tests.simulation.stage import Stage
from tests.simulation.world import USERS, World

VISIBILITY = 150
"""Steps a received message stays hidden: short enough that a slow worker meets its own event on another."""

STRANGER = "zed"
"""A user nobody ever heard of, asked about all the same."""

_MEMORY_OF_TROUBLE = 80
"""Steps after a fault in which a reader may still be unable to answer: its breakers rest meanwhile."""

Start = Callable[[], None]


@dataclass(eq=False)
class Tasks:
    """`keys` are all API keys there ever were; `sessions` the paid checkouts, (user, session); `hot` is the user of
    whom something was acknowledged last: a read of theirs says most.
    """

    stage: Stage
    world: World
    queue: Queue
    office: Office
    sessions: list[tuple[str, str]] = field(default_factory=list)
    hot: str = STRANGER

    def __post_init__(self) -> None:
        self.keys = dict(self.office.keys)

    def beginning(self, actor: Actor) -> Start | None:
        """What the idle actor could take up now."""
        match actor.role:
            case "worker":
                ready = any(message.visible_at <= self.stage.step for message in self.queue.messages)
                return (lambda: self._handle_next(actor)) if ready else None
            case "reader":
                busy = not self.stage.calm or any(worker.task for worker in self.stage.of_role("worker"))
                return (lambda: self.stage.begin(actor, self._reading(actor))) if busy else None
            case "operator":
                wanted = self.office.open or not self.stage.calm
                return (lambda: self.stage.begin(actor, self._ordered(actor))) if wanted else None
            case "shopper":
                return None if self.stage.calm else lambda: self._shop(actor)
            case _:
                return lambda: self.stage.begin(actor, self.sweeping())

    # ── the worker ───────────────────────────────────────────────────────────────────────────────────────────────

    def _handle_next(self, actor: Actor) -> None:
        message = self.queue.receive(self.stage.step, VISIBILITY)
        if message is not None:
            self.stage.begin(actor, self._handling(actor, message))

    def _handling(self, actor: Actor, message: Message) -> Task:
        def finished(result: object) -> None:
            if isinstance(result, Transient):
                self._hand_back(message, 30)
                self.stage.counts["retries"] += 1
                return
            outcome = _expected(result, Outcome, f"applying {message.event_type}")
            if outcome.status == "failed":
                raise Violation(f"{message.event_id} ({message.event_type}) ended as failed: {outcome.reason}")
            book = self.stage.book
            users = book.users_of(message.event_id)
            book.promise(users, self.stage.first_commits[actor.name])
            self.hot = (users or [self.hot])[0]
            self.queue.delete(message)
            again = ", again" if outcome.repeated else ""
            self.stage.tell(actor.name, f"acknowledged {message.event_type}: {outcome.status}{again}")

        return Task(
            f"{message.event_type} {message.event_id[-6:]}",
            lambda parts: apply_message(parts.worker, message.text),
            finished,
            lambda: self._hand_back(message, 60),
        )

    def _hand_back(self, message: Message, within: int) -> None:
        self.queue.make_visible(message, self.stage.step + self.stage.rng.randrange(within))

    # ── the reader ───────────────────────────────────────────────────────────────────────────────────────────────

    def _reading(self, actor: Actor) -> Task:
        rng, book = self.stage.rng, self.stage.book
        secret = rng.choice(sorted(self.keys))
        project, _ = self.keys[secret]
        user = self.hot if rng.random() < 0.5 else rng.choice((*USERS, *USERS, STRANGER))
        feature = rng.choice([None, *catalog.features_of(project)])
        now, floor, dead = self.world.present(), book.floor(project, user), secret in book.revoked_keys

        def finished(result: object) -> None:
            if self._excused(result, secret, actor):
                return
            answered = _expected(result, Answer, f"a read of {user} in {project}")
            if dead:
                raise Violation(f"a key that was revoked opened {project}")
            self.stage.counts[answered.road] += 1
            body = json.loads(answered.body)
            # one whose cache rests after a fault answers from the store without filling, and binds nobody (ADR 17)
            unfilled = answered.road == "refill" and self._troubled_lately(actor)
            book.check(body, feature, now.timestamp(), floor, exact=not actor.troubled and not unfilled)
            self.stage.tell(actor.name, f"answered version {body['version']} ({answered.road})")

        label = f"read {feature or 'all'} of {user} in {project}, at least version {floor}"
        question = Question(user, feature)
        return Task(label, lambda parts: answer(parts.reading, secret, question, now), finished)

    def _excused(self, result: object, secret: str, actor: Actor) -> bool:
        """No answer, and rightly so: the key's revocation is under way, or the reader met a fault lately."""
        if isinstance(result, Refused) and result.code == "invalid_api_key" and secret not in self.office.keys:
            self.stage.counts["refused reads"] += 1
            return True
        if isinstance(result, Transient) and self._troubled_lately(actor):
            self.stage.counts["unavailable reads"] += 1
            return True
        return False

    def _troubled_lately(self, actor: Actor) -> bool:
        trouble = self.stage.plan.troubled.get(actor.name, -_MEMORY_OF_TROUBLE)
        return self.stage.step - trouble < _MEMORY_OF_TROUBLE

    # ── the operator ─────────────────────────────────────────────────────────────────────────────────────────────

    def _ordered(self, actor: Actor) -> Task:
        order = self.office.next_order(self.world.present())
        order.taken = True

        def finished(result: object) -> None:
            order.taken = False
            if isinstance(result, Transient):
                return
            _no_failure(result, order.label)
            self.office.open.remove(order)
            self.hot = order.user or self.hot
            self._promise(order, actor)
            self.stage.tell(actor.name, f"acknowledged: {order.label}")

        def crashed() -> None:
            order.taken = False

        return Task(order.label, order.run, finished, crashed)

    def _promise(self, order: Order, actor: Actor) -> None:
        book = self.stage.book
        if order.user is not None:
            then: Moment = self.stage.first_commits[actor.name]
            book.promise([order.user], then)
        elif order.key is not None:
            book.revoked_keys.add(order.key)
        elif order.project is not None:
            book.promise_catalog(order.project, book.moment)

    # ── the shopper ──────────────────────────────────────────────────────────────────────────────────────────────

    def _shop(self, actor: Actor) -> None:
        rng = self.stage.rng
        strangers = [user for user in USERS if user not in self.world.living]
        if strangers and (not self.sessions or rng.random() < 0.5):
            self.stage.begin(actor, self._signing_up(rng.choice(strangers)))
        elif self.sessions:
            user, session = rng.choice(self.sessions[-4:])
            self.stage.begin(actor, self._syncing(actor, user, session))

    def _signing_up(self, user: str) -> Task:
        def finished(result: object) -> None:
            if not isinstance(result, Transient):
                self.world.link(user, _expected(result, Linked, f"making {user} a customer").stripe_id)

        return Task(
            f"make {user} a customer",
            lambda p: ensure_customer(p.worker.database_url, p.worker.stripe, catalog.NAMESPACE, user),
            finished,
        )

    def _syncing(self, actor: Actor, user: str, session: str) -> Task:
        def finished(result: object) -> None:
            if isinstance(result, Transient):
                return
            _no_failure(result, f"sync of {session}")
            self.stage.book.promise([user], self.stage.first_commits[actor.name])
            self.stage.tell(actor.name, f"acknowledged the sync of {user}")

        return Task(f"sync {session[-6:]} of {user}", lambda p: apply_checkout_now(p.worker, session), finished)

    # ── the sweeper ──────────────────────────────────────────────────────────────────────────────────────────────

    def sweeping(self) -> Task:
        def finished(result: object) -> None:
            if not isinstance(result, Transient):
                for fault in _expected(result, Swept, "the sweep").broken:
                    _no_failure(fault, "a debt of the sweep")

        return Task("sweep", lambda parts: sweep(parts.publisher, parts.worker.now()), finished)


def _expected(result: object, kind: type[Any], what: str) -> Any:
    _no_failure(result, what)
    if not isinstance(result, kind):
        raise Violation(f"{what} came to {result!r}")
    return result


def _no_failure(result: object, what: str) -> None:
    if isinstance(result, BaseException):
        raise Violation(f"{what} failed: {type(result).__name__}: {result}") from result
