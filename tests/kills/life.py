"""The life of a run: worker after worker goes on with it, each until it is killed or ends, until the run is over.

Whatever a worker says to PostgreSQL, AWS or Stripe is held at the gate first; there it may be killed.
"""

import json
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import psycopg

from billing.usecases.reconcile import LEASE
from tests.kills.scene import Scene
from tests.kills.worker import Function, Task, Workers
from tests.simulation.frames import http_body
from tests.simulation.gate import Gate, Link, Service

Moment = Literal["before", "after"]
"""Of a request: before it gets through, or after it was carried out, with nobody left to hear the answer."""

Landmark = Literal["checkpoint", "repair"]
"""A COMMIT after which a run is further, or after which a drift is repaired."""

MOST_WORKERS = 400

_LANDMARKS: Mapping[str, Landmark] = {
    "UPDATE runs SET checkpoint": "checkpoint",
    "UPDATE drifts SET status = 'repaired'": "repair",
}
_HOW_FAR = """
SELECT r.checkpoint, count(d.n) FROM runs AS r LEFT JOIN drifts AS d ON d.run_id = r.id AND d.status <> 'found'
WHERE r.status = 'open' GROUP BY r.id
"""
_LEASE_OVER = "UPDATE runs SET lease_until = lease_until - %s WHERE lease_until > '-infinity'"


@dataclass(frozen=True)
class Request:
    """What a worker says to the world. `landmark`: what this COMMIT is of."""

    service: Service
    label: str
    body: bytes
    landmark: Landmark | None = None

    @property
    def lasts(self) -> bool:
        """Whether the world may be another after it."""
        return self.label == "COMMIT" or self.label.startswith(("PutItem", "DeleteItem", "PutEvents"))


@dataclass(frozen=True)
class End:
    """How a worker is stopped at a request: `kill` its process, or `cut` the one connection under it."""

    moment: Moment
    how: Literal["kill", "cut"] = "kill"


Fate = Callable[[Request], End | None]
"""Asked of each request of one worker, in order."""


def spared(_request: Request) -> End | None:
    """Nothing happens to this worker."""


@dataclass
class At:
    """Killed at the request of this number, from 0 on."""

    place: int
    end: End
    seen: int = -1

    def __call__(self, _request: Request) -> End | None:
        self.seen += 1
        return self.end if self.seen == self.place else None


@dataclass
class Past:
    """Killed so many requests behind the nth landmark of this kind; 0: at that COMMIT itself."""

    landmark: Landmark
    further: int
    end: End
    nth: int = 1

    def __call__(self, request: Request) -> End | None:
        if self.nth > 0:
            self.nth -= int(request.landmark == self.landmark)
        else:
            self.further -= 1
        return self.end if self.nth == 0 and self.further == 0 else None


@dataclass
class EachCutOnce:
    """Each request to AWS loses its connection once, by turns before and after it is heard; the next gets through."""

    moments: Iterator[Moment] = field(default_factory=lambda: cycle(("before", "after")))
    cut: bool = False

    def __call__(self, request: Request) -> End | None:
        if request.service != "aws":
            return None
        self.cut = not self.cut
        return End(next(self.moments), "cut") if self.cut else None


@dataclass
class Life:
    """One copy of the scene at `url`. `heard`: what got through, by all workers."""

    scene: Scene
    workers: Workers
    make_gate: Callable[[], Gate]
    url: str
    environ: Mapping[str, str]
    log: Path
    heard: list[Request] = field(default_factory=list)
    kills: int = 0

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def work_off(self, fates: Iterable[Fate] = ()) -> None:
        """Until the run is over. Who is killed leaves a lease, and three minutes pass; without a fate one is spared."""
        left = iter(fates)
        for _ in range(MOST_WORKERS):
            if not self.ask("SELECT true FROM runs WHERE status = 'open'"):
                return
            if not self.play("reconciliation", next(left, spared)):
                self.pass_time()
        raise AssertionError(f"the run was not over after {MOST_WORKERS} workers")

    def pass_time(self) -> None:
        """Three minutes, as far as leases go."""
        self.ask(_LEASE_OVER, LEASE)

    def hunted(self, landmark: Landmark, furthers: Iterable[int], end: End) -> Iterator[Fate]:
        """Worker after worker is killed so far behind its first landmark. Where the last one got nowhere (it began a
        pass, no more), the next gets a landmark further.
        """
        before, nth = None, 1
        for further in furthers:
            here = self.ask(_HOW_FAR)
            nth = nth + 1 if here == before else 1
            before = here
            yield Past(landmark, further, end, nth)

    def play(self, function: Function, fate: Fate = spared) -> bool:
        """One invocation; False: it was killed."""
        with closing(self.make_gate()) as gate:
            ports = gate.admit(function)
            try:
                self.workers.start(Task(function, self._behind(ports), self.scene.now, self.log), gate.wake)
                survived = self._lead(gate, function, fate)
            finally:
                self.workers.kill()
            assert not survived or self.workers.exit_code == 0, self.log.read_text()
            return survived

    def _lead(self, gate: Gate, name: str, fate: Fate) -> bool:
        """Request by request, to the worker's own end or to that by its fate."""
        landmark: Landmark | None = None
        while True:
            gate.settle(name, self.workers.has_ended)
            link = gate.sides[name].held
            if link is None:
                return True
            label = link.asked or ""
            landmark = None if label == "BEGIN" else landmark or _landmark(label)
            request = Request(link.service, label, link.request, landmark if label == "COMMIT" else None)
            end = fate(request)
            if end is None or end.moment == "after":
                self._pass_on(gate, link, request)
            if end is None:
                gate.hand_over(link)
            elif end.how == "cut":
                gate.hang_up(link)
            else:
                self.kills += 1
                self.workers.kill()
                assert self.workers.exit_code == -signal.SIGKILL, "the worker was faster than its end"
                gate.cut_off(name)
                return False

    def announced(self) -> dict[str, int]:
        """The newest version that subscribers heard of, by user."""
        newest: dict[str, int] = {}
        for request in self.heard:
            if request.label == "PutEvents":
                for entry in json.loads(http_body(request.body))["Entries"]:
                    told = json.loads(entry["Detail"])
                    newest[told["user_id"]] = max(told["version"], newest.get(told["user_id"], 0))
        return newest

    def _pass_on(self, gate: Gate, link: Link, request: Request) -> None:
        self.heard.append(request)
        gate.pass_on(link)
        assert gate.await_reply(link), f"{link.asked} waits for a lock: of whom? There is one worker at a time"

    def _behind(self, ports: Mapping[Service, int]) -> dict[str, str]:
        database = urlsplit(self.url).path
        return {
            **self.environ,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['aws']}",
            "STRIPE_API_BASE": f"http://127.0.0.1:{ports['stripe']}",
            "DATABASE_URL": f"postgresql://billing@127.0.0.1:{ports['postgres']}{database}"
            "?sslmode=disable&gssencmode=disable",
        }


def _landmark(label: str) -> Landmark | None:
    return next((landmark for statement, landmark in _LANDMARKS.items() if label.startswith(statement)), None)
