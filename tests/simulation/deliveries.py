"""Stripe's deliveries and a standard queue: at least once, any order, a visibility timeout. Time is in steps."""

import json
import random
from dataclasses import dataclass, field

from billing.messages.queue import message_of, to_message
from tests.simulation.stripe_api import Obj
from tests.simulation.world import World

_UNDELIVERED = 0.06
_TWICE = 0.2
_LATE = 0.25


@dataclass(eq=False)
class Message:
    event_id: str
    event_type: str
    text: str
    visible_at: int
    receipts: int = 0


@dataclass
class Queue:
    """`lost` are events that no delivery brought here: Stripe tries those again, in the end. A lively queue mostly
    hands out the newest message, so that the workers act on what happens now and not on a backlog.
    """

    rng: random.Random
    rough: bool
    lively: bool = False
    messages: list[Message] = field(default_factory=list)
    lost: list[Obj] = field(default_factory=list)
    delivered: int = 0

    def deliver(self, world: World, events: list[Obj], step: int) -> None:
        for event in events:
            if self.rough and self.rng.random() < _UNDELIVERED:
                self.lost.append(event)
                continue
            copies = 2 if self.rough and self.rng.random() < _TWICE else 1
            for _ in range(copies):
                late = self.rng.randrange(400) if self.rough and self.rng.random() < _LATE else 0
                self._add(world, event, step + late)

    def deliver_all_again(self, world: World, step: int) -> None:
        """Stripe's retries: whatever was lost comes in the end."""
        for event in self.lost:
            self._add(world, event, step)
        self.lost.clear()

    def receive(self, step: int, visibility: int) -> Message | None:
        """One of the visible messages, mostly an early one; hidden from others for `visibility` steps."""
        visible = [message for message in self.messages if message.visible_at <= step]
        if not visible:
            return None
        place = 0 if self.rng.random() < 0.4 else self.rng.randrange(min(len(visible), 12))
        if self.lively and self.rng.random() < 0.6:
            place = -1
        message = visible[place]
        message.visible_at = step + visibility
        message.receipts += 1
        return message

    def delete(self, message: Message) -> None:
        if message in self.messages:
            self.messages.remove(message)

    def make_visible(self, message: Message, step: int) -> None:
        message.visible_at = step

    def hurry(self, step: int) -> None:
        """No message is late any more."""
        for message in self.messages:
            message.visible_at = min(message.visible_at, step)

    def _add(self, world: World, event: Obj, visible_at: int) -> None:
        self.delivered += 1
        body = json.dumps(event).encode()
        text = to_message(message_of(body, world.present()))
        self.messages.append(Message(event["id"], event["type"], text, visible_at))
