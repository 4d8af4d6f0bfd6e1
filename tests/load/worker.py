"""One worker of the check's function, asked without any front: does it grow, and what does a check cost?"""

import multiprocessing
import os
import time
from array import array
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from functions.entitlements.handler import build
from infra.local.ministack import REGION
from tests.load.asks import FEATURE
from tests.load.line import Line
from tests.load.memory import Memory, resident
from tests.load.parts import System
from tests.load.scenarios import Outcome, Say, crowded
from tests.support.wire import CONTEXT, rest_event

ROUTE = "/api/v1/entitlements/check"
_LOOKS = 20
"""Samples of the memory."""


@dataclass(frozen=True)
class Worked:
    """`times` in milliseconds, `processor` seconds in all, `held`: MB after each of the equal parts."""

    times: "array[float]"
    processor: float
    held: list[float]


def alone(system: System, checks: int, say: Say) -> Outcome:
    """So many checks by one worker in a process of its own, against the emulator's DynamoDB."""
    plan, _ = crowded(system, 50)
    environ = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": system.aws_url,
        "DATABASE_URL": system.store.server.functions_url,
        "TABLE_NAME": system.deployed.table_name,
    }
    say(f"{checks} checks")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        worked = pool.apply(work, (environ, plan.key, plan.holders, checks))
    cuts = quantiles(worked.times, n=100, method="inclusive")
    rate = checks / (sum(worked.times) / 1000)
    line = Line("check, by one worker", checks, 0, rate, cuts[49], cuts[94], cuts[98], max(worked.times))
    held = ", ".join(f"{held:.1f}" for held in worked.held[:: _LOOKS // 10])
    notes = [
        f"Of the worker's own processor a check takes {worked.processor / checks * 1e6:.0f} µs.",
        f"The worker's memory after each tenth of the checks, MB: {held}.",
    ]
    return Outcome([line], Memory(os.getpid()), notes)


def work(environ: Mapping[str, str], key: str, users: Sequence[str], checks: int) -> Worked:
    """Raises RuntimeError at the first check that is not answered "allowed". The log is not kept."""
    times = array("d", bytes(8 * checks))  # at its full size from the start: only the worker's own growth shall show
    held = []
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        handle = build(environ)
        began = time.process_time()
        for number in range(checks):
            query = {"user_id": users[number % len(users)], "feature": FEATURE}
            event = rest_event("GET", ROUTE, headers={"Authorization": f"Bearer {key}"}, query=query)
            before = time.perf_counter()
            answer = handle(event, CONTEXT)
            times[number] = (time.perf_counter() - before) * 1000
            if answer["statusCode"] != 200 or '"allowed":true' not in answer["body"]:
                raise RuntimeError(f"check {number} was answered {answer['statusCode']}: {answer['body']}")
            if (number + 1) % max(checks // _LOOKS, 1) == 0:
                held.append(resident(os.getpid()))
        return Worked(times, time.process_time() - began, held)
