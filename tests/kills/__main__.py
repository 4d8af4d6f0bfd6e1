"""`python -m tests.kills`: a worker of the reconciliation is killed at each request there is, and the run comes to the
same end. Exits with 1 if one did not.

Each request of the undisturbed run: killed before it gets through; where it leaves something behind, also after. What a
kill leaves just as another one did is not worked off again: the same world has the same end. Then lives in which every
worker dies, so far behind a checkpoint or a repair; and lives in which each call to AWS is lost once.

`--part 2/3` takes a third of the kills, for a machine with cores to spare; `--every 10` each tenth.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice, repeat

from infra.local.ministack import run_ministack
from tests.kills.life import At, EachCutOnce, End, Landmark, Life, Moment, Request
from tests.kills.theatre import Outcome, Theatre, open_theatre
from tests.kills.world import look
from tests.simulation.report import say
from tests.support.postgres import run_databases, temporary_directory

MOMENTS: tuple[Moment, ...] = ("before", "after")
FURTHEST: Mapping[Landmark, int] = {"checkpoint": 45, "repair": 15}
"""Requests behind one; then the next step has begun."""

_EVERY = 60.0
"""Seconds between two reports."""


@dataclass
class Tally:
    """`worlds`: what was left by kills whose runs were worked off to the end already."""

    theatre: Theatre
    undisturbed: Outcome
    kills: int = 0
    lives: int = 0
    broken: int = 0
    worlds: set[str] = field(default_factory=set)

    def judge(self, life: Life, name: str) -> None:
        self.lives += 1
        self.kills += life.kills
        differs = self.theatre.end(life).beside(self.undisturbed)
        if differs:
            self.broken += 1
            say("\n".join([f"{name}: another end", *(f"  {line[:400]}" for line in differs)]))

    def kill_at(self, place: int, request: Request, moment: Moment) -> None:
        with self.theatre.life() as life:
            if life.play("reconciliation", At(place, End(moment))):
                raise RuntimeError(f"the run has no request {place} any more: it is not the same twice")
            left = look(self.theatre.scene, life.url)
            world = json.dumps([left.store, left.cache, life.announced()], sort_keys=True, default=str)
            if world in self.worlds:
                self.kills += life.kills
                return
            self.worlds.add(world)
            life.pass_time()
            life.work_off()
            self.judge(life, f"killed {moment} request {place}, {request.service} {request.label[:80]}")

    def hunt(self, landmark: Landmark, further: int, moment: Moment) -> None:
        with self.theatre.life() as life:
            life.work_off(life.hunted(landmark, repeat(further), End(moment)))
            self.judge(life, f"each worker killed {moment} the request {further} behind its {landmark}")

    def cut(self, fate: EachCutOnce) -> None:
        with self.theatre.life() as life:
            life.work_off([fate])
            self.judge(life, "each call to AWS lost once")

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {len(self.worlds)} different worlds left by single ones,"
            f" {self.lives} lives worked off to the end, {self.broken} of them to another end"
        )


def main() -> int:
    options = _options()
    with ExitStack() as stack:
        databases = stack.enter_context(run_databases())
        aws = stack.enter_context(run_ministack(stack.enter_context(temporary_directory("billing-aws-"))))
        theatre = stack.enter_context(open_theatre(databases, aws.endpoint_url))
        tally = Tally(theatre, _undisturbed(theatre))
        _kill_everywhere(tally, options)
        for landmark, furthest in FURTHEST.items():
            for further in range(options.part - 1, furthest, options.of * options.every):
                for moment in MOMENTS:
                    tally.hunt(landmark, further, moment)
        if options.part == 1:
            tally.cut(EachCutOnce())
            tally.cut(EachCutOnce(repeat("before")))
            tally.cut(EachCutOnce(repeat("after")))
    say(str(tally))
    return 1 if tally.broken else 0


def _undisturbed(theatre: Theatre) -> Outcome:
    with theatre.life() as life:
        life.work_off()
        return theatre.end(life)


def _kill_everywhere(tally: Tally, options: argparse.Namespace) -> None:
    with tally.theatre.life() as life:
        life.work_off()
        requests = list(life.heard)
    points = list(islice(_points(requests), options.part - 1, None, options.of * options.every))
    say(f"{len(requests)} requests; killed at {len(points)} points of them")
    reported = time.monotonic()
    for number, (place, moment) in enumerate(points):
        tally.kill_at(place, requests[place], moment)
        if time.monotonic() - reported > _EVERY:
            reported = time.monotonic()
            say(f"{number + 1} of {len(points)} points: {tally}")


def _points(requests: list[Request]) -> Iterator[tuple[int, Moment]]:
    for place, request in enumerate(requests):
        yield place, "before"
        if request.lasts:
            yield place, "after"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--part", default="1/1", help="which part of how many, such as 2/3")
    parser.add_argument("--every", type=int, default=1, help="only one point in so many")
    options = parser.parse_args()
    options.part, options.of = map(int, options.part.split("/"))
    return options


if __name__ == "__main__":
    sys.exit(main())
