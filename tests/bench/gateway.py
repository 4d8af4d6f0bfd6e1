"""A check over HTTP through the emulator's gateway ÷ a trivial handler that logs one line, there too: p50, p95, p99.

Wall time of one client with one connection, its requests to the two in turn; most of either is the emulator's own. A
handler that logs nothing would wait 50 ms for its stderr (the emulator's habit), so the reference logs one line.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import urllib3

from infra.local.console import Terminal
from infra.local.stack import boot
from tests.bench import trivial_api
from tests.bench.table import Row, medians, ratios
from tests.support.postgres import temporary_directory

CALLS = 100
"""Of each, in each pair."""

PERCENTILES = (50, 95, 99)


def rows(count: int) -> Iterator[Row]:
    with temporary_directory("billing-bench-") as directory, boot(directory / ".local", Terminal()) as running:
        stack = running.stack
        http = urllib3.PoolManager(timeout=10, retries=False)
        check = f"{stack.api_url}/api/v1/entitlements/check?user_id=ada&feature=export"
        ours = get(http, check, {"Authorization": f"Bearer {stack.project_key}"})
        theirs = get(http, f"{trivial_api.deploy(stack.aws_endpoint_url)}/trivial")
        for call in (ours, theirs):
            for _ in range(20):
                call()
        seen = [turns(ours, theirs) for _ in range(count)]
    for place, percent in enumerate(PERCENTILES):
        measured = [(mine[place], other[place]) for mine, other in seen]
        first, second = medians(measured)
        name = f"check over HTTP, p{percent} ÷ a trivial logging handler"
        yield Row(name, ratios(measured), 1.3, note=f"{first:.1f} ms ÷ {second:.1f} ms")


def turns(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """The percentiles of either, one request after the other in turn."""
    mine, other = zip(*[(ours(), theirs()) for _ in range(CALLS)], strict=True)
    return percentiles(mine), percentiles(other)


def percentiles(seen: tuple[float, ...]) -> list[float]:
    cuts = statistics.quantiles(seen, n=100, method="inclusive")
    return [cuts[percent - 1] for percent in PERCENTILES]


def get(http: urllib3.PoolManager, url: str, headers: Mapping[str, str] | None = None) -> Callable[[], float]:
    """Milliseconds of a request."""

    def call() -> float:
        began = time.perf_counter()
        answer = http.request("GET", url, headers=headers)
        if answer.status != 200:
            raise RuntimeError(f"{url} answered {answer.status}: {answer.data[:300]!r}")
        return (time.perf_counter() - began) * 1000

    return call
