"""`python -m tests.simulation.silence 17 20-40 --kind listing`: weeks without webhooks, by seeds, each of a kind of its
own unless one is named. Exits with 3 if a run did not make up for them.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from billing.messages.bus import Bus
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from billing.store.connection import close, connect
from infra.local.stripe_double.double import StripeDouble
from tests.simulation.__main__ import BROKEN, EVERY, seeds_of
from tests.simulation.actors import LONG, Parts, Site, make_parts
from tests.simulation.book import Book, Violation
from tests.simulation.gate import Service
from tests.simulation.operators import Office
from tests.simulation.report import say
from tests.simulation.servers import Servers, run_servers
from tests.simulation.setup import address, chance, open_shop, sign_up
from tests.simulation.silent_life import KINDS, Kind, SilentLife
from tests.simulation.stripe_api import StripeApi
from tests.simulation.world import World
from tests.support.aws import make_table

_REPORTED = ("seeds", "deeds", "events", "deliveries", "runs", "drifts", "violations")


class Overheard(AwsClient):
    """The bus's client; the book hears what is announced."""

    def __init__(self, book: Book, quiet: AwsClient) -> None:
        super().__init__(EVENTBRIDGE, LONG, quiet.environ)
        self._book = book

    def call(self, operation: str, payload: Any, *, timeout: float | None = None) -> dict[str, Any]:
        answer = super().call(operation, payload, timeout=timeout)
        self._book.announce(payload)
        return answer


@contextmanager
def silent_life(seed: int, kind: Kind, servers: Servers) -> Iterator[SilentLife]:
    """All that one life needs, fresh: a database, a table, a Stripe, two projects with catalogs and keys."""
    with ExitStack() as stack:
        database = stack.enter_context(servers.database())
        table = stack.enter_context(make_table(servers.aws_url))
        double = stack.enter_context(StripeDouble(seed=seed))
        api = StripeApi(double.url)
        stack.callback(api.close)
        lives = chance("lives", seed)
        world = World(double, api, lives, restless=lives.choice([0.15, 0.3, 0.5]), eager=1)
        world.begin()
        office = Office(chance("office", seed), open_shop(database, servers, table, double, world))
        book = Book(stack.enter_context(connect(servers.url_of(database))))
        book.look()
        sign_up(world, servers.url_of(database), double.url)
        ports: dict[Service, int] = {
            "postgres": servers.postgres_port,
            "aws": servers.aws[1],
            "stripe": address(double.url)[1],
        }
        parts = _overheard(make_parts(Site(database, table, world.present, time.monotonic), ports), book)
        stack.callback(_close, parts)
        yield SilentLife(kind, world, office, book, parts, chance("silence", seed))


def _overheard(parts: Parts, book: Book) -> Parts:
    bus = parts.publisher.bus
    heard = replace(parts.publisher, bus=Bus(Overheard(book, bus.client), bus.name))
    return replace(parts, worker=replace(parts.worker, publisher=heard))


def _close(parts: Parts) -> None:
    for aws in (parts.publisher.cache.aws, parts.publisher.bus.client, parts.reading.cache.aws):
        aws.close()
    close(parts.worker.database_url)


def play(seed: int, name: str, servers: Servers, totals: Counter[str], lines: int = 60) -> str | None:
    """The story of the life that no run could make up for, if that was so."""
    with silent_life(seed, KINDS[name], servers) as life:
        try:
            life.play()
        except Violation as violation:
            return _broken(life, seed, name, str(violation), lines)
        except Exception:
            say(_broken(life, seed, name, "the simulation itself broke", lines))
            raise
        finally:
            totals.update(life.counts)
            totals["seeds"] += 1
    return None


def _broken(life: SilentLife, seed: int, name: str, what: str, lines: int) -> str:
    told = life.story[-lines:] if lines else []
    again = f"python -m tests.simulation.silence {seed} --kind {name}"
    return "\n".join([*told, f"--- seed {seed} ({name}): {what}", f"--- again: {again}"])


def main() -> int:
    options = _options()
    totals: Counter[str] = Counter()
    began = reported = time.monotonic()
    with run_servers() as servers:
        for seed in seeds_of(options.seeds):
            now = time.monotonic()
            if options.minutes and now - began > options.minutes * 60:
                break
            if now - reported > EVERY:
                reported = now
                _report(totals, began)
            broken = play(seed, options.kind or list(KINDS)[seed % len(KINDS)], servers, totals, options.story)
            if broken:
                totals["violations"] += 1
                say(broken)
                if not options.keep_going:
                    break
    _report(totals, began)
    return BROKEN if totals["violations"] else 0


def _report(totals: Counter[str], began: float) -> None:
    numbers = ", ".join(f"{totals[name]} {name}" for name in _REPORTED)
    say(f"{time.monotonic() - began:.0f} s: {numbers}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.silence", description=__doc__)
    parser.add_argument("seeds", nargs="+", help="a seed, a range such as 1-50, or 1- for all from 1 on")
    parser.add_argument("--kind", choices=KINDS, help="of silence; without it, by the seed")
    parser.add_argument("--minutes", type=float, default=0, help="begin no seed after so long (0: no limit)")
    parser.add_argument("--keep-going", action="store_true", help="go on to the next seed after a broken promise")
    parser.add_argument("--story", type=int, default=60, help="lines of the story told of a broken seed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
