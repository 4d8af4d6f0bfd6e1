"""One seed, from an empty shop until all has come to rest."""

from dataclasses import dataclass, field

from tests.simulation.actors import Actor
from tests.simulation.book import Violation
from tests.simulation.stage import Stage
from tests.simulation.stripe_api import Obj
from tests.simulation.tasks import Tasks
from tests.simulation.world import World

SETTLES_WITHIN = 30_000
"""Steps in which the queue must be empty once nothing goes wrong any more."""

_PACES = (0.03, 0.2, 1.0, 1.0, 4.0)
"""How eager an actor is; drawn anew now and then, so that some stall for long while others hurry."""

_FRESH = 300
_TELLING = ("GET /v1/subscriptions", "COMMIT", "BatchGetItem", "SELECT p.id, $1")
_EAGER = {"worker": 1.0, "reader": 0.3, "operator": 0.1, "shopper": 0.4, "sweeper": 0.006}
_BUSY = {"worker": 3.0}


@dataclass(eq=False)
class Simulation:
    seed: int
    steps: int
    stage: Stage
    tasks: Tasks
    world: World
    world_rests: bool = False
    paces: dict[str, float] = field(default_factory=dict)

    def play(self) -> None:
        """The rough part: everybody at once, faults and all. The world pauses first, then trouble ends, and all of it
        must come to rest. Raises Violation.
        """
        stage, queue = self.stage, self.tasks.queue
        while stage.step < self.steps:
            self._step()
        self.world_rests = True
        while queue.messages and stage.step < 3 * self.steps:
            self._step()
        stage.calm = True
        stage.plan.stop()
        stage.deliver_late_requests(all_of_them=True)
        queue.deliver_all_again(self.world, stage.step)
        end = stage.step + SETTLES_WITHIN
        queue.hurry(stage.step)
        while queue.messages or self.tasks.office.open or any(actor.task for actor in stage.actors):
            if stage.step % 50 == 0:
                queue.hurry(stage.step)
            if stage.step > end:
                raise Violation(f"nothing comes to rest: {len(queue.messages)} messages go round")
            self._step()
        stage.run_alone(stage.of_role("sweeper")[0], self.tasks.sweeping())

    def _step(self) -> None:
        stage = self.stage
        stage.step += 1
        stage.counts["steps"] += 1
        stage.unblock()
        stage.deliver_late_requests()
        found = stage.choices(self.tasks.beginning)
        choices = [choice for _, choice in found]
        weights = [self._weight(actor) for actor, _ in found]
        if not self.world_rests:
            choices.append(self._world_acts)
            weights.append(self.world.eager)
        if stage.rng.random() < (0.12 if self.world.narrow else 0.04):
            self.paces[stage.rng.choice(stage.actors).name] = stage.rng.choice(_PACES)
        if choices:
            stage.rng.choices(choices, weights)[0]()
        else:
            stage.freed = True  # everybody waits for locks: look again
        if self.world.narrow:
            self._stall_who_knows_something()

    def _stall_who_knows_something(self) -> None:
        """Whoever has just fetched, read or committed may be slow to act on it: the longer, the staler it gets."""
        name, asked = self.stage.last_asked
        if asked.startswith(_TELLING) and self.stage.rng.random() < 0.25:
            self.paces[name] = _PACES[0]
        self.stage.last_asked = ("", "")

    def _weight(self, actor: Actor) -> float:
        eager = _BUSY.get(actor.role, 1.0) if actor.task else _EAGER[actor.role]
        return self.paces.get(actor.name, 1.0) * eager

    def _world_acts(self) -> None:
        before = self.world.now
        self.stage.tell("world", self.world.act())
        if self.world.narrow and self.world.now - before > _FRESH:
            # just past its freshness an item is refilled by one reader while others use it: let them meet
            self.paces.update({reader.name: _PACES[-1] for reader in self.stage.of_role("reader")})
        self.stage.counts["deeds"] += 1
        news = [*self.world.pending_news, *self.world.take_news()]
        self.world.pending_news.clear()
        self.stage.book.hear(news)
        self.tasks.queue.deliver(self.world, news, self.stage.step)
        self.stage.counts["events"] += len(news)
        for event in news:
            self._note_checkout(event)

    def _note_checkout(self, event: Obj) -> None:
        if event["type"] == "checkout.session.completed":
            session = event["data"]["object"]
            owners = [user for user, ids in self.world.customers.items() if session["customer"] in ids]
            self.tasks.sessions += [(user, session["id"]) for user in owners[:1]]
