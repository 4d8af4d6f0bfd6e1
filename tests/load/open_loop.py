"""Requests at times set beforehand, whatever the answers do: a caller does not wait because another one has to.

Each is timed from the instant it was meant to be sent, so a stall is counted by all whom it made wait (a closed loop
counts it once: "coordinated omission").
"""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import quantiles

import urllib3

from tests.load.asks import Ask, headers, judged
from tests.load.line import Line

CALLERS = 48
"""Connections: as many requests can be under way. Where that is too few the wait for one counts too."""


@dataclass
class Played:
    """Milliseconds from the intended send to the end of the answer."""

    times: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def play(name: str, api_url: str, key: str, asks: Iterator[Ask], rate: float, seconds: float) -> Line:
    """`rate` a second on average, in a Poisson process: independent people do not come evenly."""
    played, lock = Played(), threading.Lock()
    schedule = _schedule(asks, rate, seconds)
    http = urllib3.PoolManager(maxsize=CALLERS, timeout=urllib3.Timeout(60), retries=False)
    began = time.perf_counter() + 0.1

    def call() -> None:
        while True:
            with lock:
                due = next(schedule, None)
            if due is None:
                return
            at, ask = due
            time.sleep(max(began + at - time.perf_counter(), 0))
            fault = _answer(http, api_url, key, ask)
            took = (time.perf_counter() - began - at) * 1000
            with lock:
                played.times.append(took)
                if fault is not None:
                    played.faults.append(fault)

    with http:
        threads = [threading.Thread(target=call) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return _line(name, played, time.perf_counter() - began)


def _schedule(asks: Iterator[Ask], rate: float, seconds: float) -> Iterator[tuple[float, Ask]]:
    rng = random.Random(1)  # noqa: S311  no secret
    at = rng.expovariate(rate)
    while at < seconds:
        yield at, next(asks)
        at += rng.expovariate(rate)


def _answer(http: urllib3.PoolManager, api_url: str, key: str, ask: Ask) -> str | None:
    try:
        answer = http.request(ask.method, api_url + ask.path, json=ask.body, headers=headers(ask, key))
    except urllib3.exceptions.HTTPError as fault:
        return f"{type(fault).__name__}"
    return judged(ask, answer.status, answer.data.decode()).fault


def _line(name: str, played: Played, took: float) -> Line:
    cuts = quantiles(played.times, n=100, method="inclusive")
    return Line(
        name,
        len(played.times),
        len(played.faults),
        len(played.times) / took,
        cuts[49],
        cuts[94],
        cuts[98],
        max(played.times),
    )
