"""A check that hits: inside Lambda's own runtime beside a handler that does nothing, and alone beside one boto3 call.

Only the CPU of the function's process counts; the DynamoDB it asks is a process of its own that always gives the same
answer. awslambdaric polls as Lambda has it do for Python 3.11: from 3.12 on it polls from a thread, which makes either
side dearer.
"""

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from typing import Any

import boto3

from functions.entitlements import handler
from tests.bench.canned import canned
from tests.bench.check_scene import TABLE, Held, batch, environ, event
from tests.bench.lambda_runtime import cpu_of, run_function
from tests.bench.table import Row, medians, pairs, ratios
from tests.support.wire import CONTEXT

CALLS = 500
"""Of each side of a pair."""


def rows(count: int) -> Iterator[Row]:
    yield inside(count)
    with canned(Held().answer()) as url:
        check = build(url)
        yield compared(
            "check, hit, handler ÷ boto3 `batch_get_item`",
            timed(lambda: answered(check, event())),
            timed(boto3_call(url)),
            count,
            0.30,
        )
        users = [f"user{number}" for number in range(100)]
        with canned(Held(users).answer()) as many:
            whole = build(many)
            asked = batch(users)
            yield compared(
                "batch of 100 checks ÷ one check",
                timed(lambda: answered(whole, asked), CALLS // 20),
                timed(lambda: answered(check, event())),
                count,
                None,
            )


def inside(count: int) -> Row:
    """Both in the real runtime, so both pay for its polling, its JSON and its Unbuffered stderr."""
    with (
        canned(Held().answer()) as url,
        run_function("tests.bench.patient.lambda_handler", environ(url)) as ours,
    ):
        body = json.loads(ours.invoke(json.dumps(event()).encode()))["body"]
        with run_function("tests.bench.trivial.silent", {"BENCH_BODY": body}) as nothing:
            asked = event()
            cpu_of(ours, asked, 50), cpu_of(nothing, asked, 50)
            seen = pairs(lambda: cpu_of(ours, asked, CALLS), lambda: cpu_of(nothing, asked, CALLS), count)
    return _row("check, hit, in awslambdaric ÷ a no-op returning the same body", seen, 2.3)


def build(url: str) -> Any:
    return handler.build(environ(url), read_timeout=10)


def answered(check: Any, asked: dict[str, Any]) -> None:
    answer = check(asked, CONTEXT)
    if answer["statusCode"] != 200:
        raise RuntimeError(f"the check was answered {answer}")


def boto3_call(url: str) -> Callable[[], object]:
    """The same question by the SDK, its defaults left as they are."""
    client = boto3.client(
        "dynamodb", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    wanted: Any = {TABLE: {"Keys": [{"pk": {"S": "K#1"}}, {"pk": {"S": "S#1"}}], "ConsistentRead": True}}
    return lambda: client.batch_get_item(RequestItems=wanted)


def timed(call: Callable[[], object], calls: int = CALLS) -> Callable[[], float]:
    """Microseconds of this process's CPU a call."""

    def run() -> float:
        with redirect_stderr(io.StringIO()):
            call()
            began = time.process_time()
            for _ in range(calls):
                call()
            return (time.process_time() - began) / calls * 1e6

    return run


def compared(
    name: str, ours: Callable[[], float], theirs: Callable[[], float], count: int, target: float | None
) -> Row:
    return _row(name, pairs(ours, theirs, count), target)


def _row(name: str, seen: tuple[tuple[float, float], ...], target: float | None) -> Row:
    first, second = medians(seen)
    return Row(name, ratios(seen), target, note=f"{first:.0f} µs ÷ {second:.0f} µs of CPU")
