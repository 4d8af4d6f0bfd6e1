"""The fault plan of a seed: how often what goes wrong, and outages that last."""

import random
from dataclasses import dataclass, field
from typing import Literal

from tests.simulation.frames import http_answer
from tests.simulation.gate import Link, Service
from tests.simulation.postgres_watch import PostgresWatch

Fault = Literal["crash before", "crash after", "broken before", "broken after", "late", "refused"]

_THROTTLED = {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slower"}
_SORRY = {"error": {"type": "api_error", "message": "Stripe is temporarily unavailable."}}


@dataclass
class Plan:
    """`outages`: until which step a service answers nobody. `troubled`: when an actor last met a fault.
    `streaks`: how many more of an actor's calls to AWS fail.
    """

    rng: random.Random
    watch: PostgresWatch
    outages: dict[Service, int] = field(default_factory=dict)
    troubled: dict[str, int] = field(default_factory=dict)
    streaks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.crashes = self.rng.choice([0, 0.004, 0.01, 0.03])
        self.breaks: dict[Service, float] = {
            "postgres": self.rng.choice([0, 0, 0.003, 0.01]),
            "aws": self.rng.choice([0, 0.01, 0.05]),
            "stripe": self.rng.choice([0, 0.01, 0.05]),
        }
        self.lasting = self.rng.choice([0, 0, 0.003])

    def stop(self) -> None:
        self.outages.clear()
        self.streaks.clear()

    def next(self, link: Link, step: int) -> Fault | None:
        """What happens to this request; None: nothing."""
        if self.rng.random() < self.lasting:
            service: Service = self.rng.choice(["postgres", "aws", "stripe"])
            self.outages[service] = step + self.rng.randrange(10, 80)
        if self.outages.get(link.service, 0) > step:
            return "broken before"
        # killed where it hurts most: around a commit, around a put
        decisive = link.asked == "COMMIT" or (link.asked or "").startswith("PutItem")
        if self.rng.random() < self.crashes * (4 if decisive else 1):
            return self.rng.choice(["crash before", "crash after"])
        if link.service == "aws" and self.streaks.get(link.owner, 0) > 0:
            self.streaks[link.owner] -= 1
            return "refused"
        if self.rng.random() < self.breaks[link.service]:
            # the client tries three times: only what outlasts that is felt
            self.streaks[link.owner] = self.rng.choice([0, 2])
            return self._break(link)
        return None

    def _break(self, link: Link) -> Fault:
        kinds: list[Fault] = ["broken before", "broken after"]
        if link.service != "postgres":
            kinds.append("refused")
        if (link.asked or "").startswith("PutItem"):
            kinds.append("late")
        return self.rng.choice(kinds)

    def refusal(self, link: Link) -> bytes:
        return http_answer(503, _SORRY) if link.service == "stripe" else http_answer(400, _THROTTLED)
