"""The client's own work: a check from memory, a token verified, beside one GET to a server that answers at once.

Only the CPU of this process counts. The tokens are the fake service's, of the form the real one signs.
"""

import time
from collections.abc import Callable, Iterator

import urllib3

from billing_client import BillingClient, Options
from billing_client.testing import FakeBilling
from tests.bench.canned import canned
from tests.bench.table import Row, medians, pairs, ratios

LOOKUPS = 100_000
CHECKS = 20_000
REQUESTS = 300
TOKENS = 100
"""Of each side of a pair: enough for some tens of milliseconds."""

BODY = b'{"allowed": true, "value": true, "reason": "entitled", "valid_to": null, "version": 4, "stale": false}'

Timed = Callable[[], float]


def rows(count: int) -> Iterator[Row]:
    fake = FakeBilling()
    fake.grant("ada", "export")
    with (
        canned(BODY) as url,
        urllib3.PoolManager(retries=False) as http,
        fake.client(Options(fresh_for=86_400, remembered=10_000)) as billing,
    ):
        billing.check("ada", "export")
        get = timed(lambda: http.request("GET", url), REQUESTS)
        cached = timed(lambda: billing.check("ada", "export"), CHECKS)
        known = {"ada": {"export": True}}
        yield row("client: check from memory ÷ one urllib3 GET", cached, get, count, 0.02)
        yield row(
            "client: check from memory ÷ two dict lookups",
            cached,
            timed(lambda: known["ada"]["export"], LOOKUPS),
            count,
        )
        fake.advance(1)
        yield row(
            "client: first verification of a token ÷ one urllib3 GET", first_times(fake, billing), get, count, 0.6
        )
        token = billing.token("ada").token
        again = timed(lambda: billing.verify(token), CHECKS)
        yield row("client: verification of a token seen before ÷ one urllib3 GET", again, get, count, 0.02)


def first_times(fake: FakeBilling, billing: BillingClient) -> Timed:
    """Seconds a token that was never seen."""

    def took() -> float:
        tokens = [billing.token(f"user-{number}-{time.monotonic_ns()}").token for number in range(TOKENS)]
        billing.verify(billing.token("ada").token)  # its keys are there
        began = time.process_time()
        for token in tokens:
            billing.verify(token)
        return (time.process_time() - began) / TOKENS

    return took


def timed(work: Callable[[], object], times: int) -> Timed:
    """Seconds of CPU one takes."""

    def took() -> float:
        began = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - began) / times

    return took


def row(name: str, ours: Timed, theirs: Timed, count: int, target: float | None = None) -> Row:
    seen = pairs(ours, theirs, count)
    first, second = medians(seen)
    return Row(name, ratios(seen), target, note=f"{first * 1e6:.2f} µs, {second * 1e6:.2f} µs of CPU")
