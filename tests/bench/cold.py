"""What a cold start imports, as CPU time of a fresh interpreter ÷ one that imports boto3.

Compiled files are there for both, as they are in the packages. An interpreter that imports nothing is in both too; the
note says how much that is. httpx is hidden from ours: the dependency layer has none, and Stripe's SDK imports it where
it can. The last row is what Lambda does: the module is imported with AWS_LAMBDA_FUNCTION_NAME set, so that the handler
is built as well, its TLS context with the system's CA store included.
"""

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping

from tests.bench.table import Row, medians, pairs, ratios

TARGETS = {
    "entitlements": 0.35,
    "webhooks": 0.35,
    "apply_events": 1.3,
    "checkout": 1.5,
    "portal": 1.5,
    "admin": 1.7,
    "tokens": None,
    "health": None,
    "outbox": None,
    "reconciliation": None,
    "migrations": None,
}
ON_LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_REGION": "eu-central-1",
    "TABLE_NAME": "table",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing",
}


def cpu(code: str, environ: Mapping[str, str] | None = None) -> float:
    """Milliseconds of CPU of an interpreter that runs `code` and exits."""
    command = [sys.executable, "-c", code]
    child = os.posix_spawn(command[0], command, {**os.environ, **(environ or {})})
    _, status, used = os.wait4(child, 0)
    if status != 0:
        raise RuntimeError(f"{code!r} failed with status {status}")
    return (used.ru_utime + used.ru_stime) * 1000


def importing(module: str, environ: Mapping[str, str] | None = None) -> Callable[[], float]:
    return lambda: cpu(f"import sys; sys.modules['httpx'] = None; import {module}", environ)


def row(name: str, ours: Callable[[], float], target: float | None, count: int, bare: float) -> Row:
    boto3 = importing("boto3")
    ours(), boto3()  # compiles what is not compiled yet, and fills the page cache
    seen = pairs(ours, boto3, count)
    mine, theirs = medians(seen)
    note = f"{mine:.0f} ms ÷ {theirs:.0f} ms, of either {bare:.0f} ms bare Python"
    return Row(name, ratios(seen), target, note=note)


def rows(count: int) -> Iterator[Row]:
    bare = statistics.median(cpu("pass") for _ in range(count))
    for function, target in TARGETS.items():
        ours = importing(f"functions.{function}.handler")
        yield row(f"cold import, {function} ÷ `import boto3`", ours, target, count, bare)
    init = importing("functions.entitlements.handler", ON_LAMBDA)
    yield row("init on Lambda, entitlements, with TLS ÷ `import boto3`", init, None, count, bare)
