"""What a million checks that hit cost on AWS, worked out from the CPU time measured here.

Measured is the CPU of an invocation in Lambda's own runtime, on a core of this machine. A function of 1,769 MB has one
vCPU, so one of 512 MB has 0.29 of it, and computes that much longer; a vCPU is taken to be as fast as this core. The
time DynamoDB takes cannot be measured here: it is assumed, and is most of what is billed.
"""

import math
import statistics

from infra.costs import FRONTS, million_checks
from infra.fleet import FLEET
from tests.bench.canned import canned
from tests.bench.check_scene import Held, environ, event
from tests.bench.lambda_runtime import cpu_of, run_function

DYNAMODB_MS = 4.0
"""A BatchGetItem of two items within a region, as AWS's users report it: replace it by your own metric."""

ONE_VCPU = 1769
HEAD = "| front | $ a million | front, Lambda's requests, its compute, DynamoDB, logs, traffic, X-Ray |\n|---|---|---|"


def text(count: int) -> str:
    memory = next(each.memory for each in FLEET if each.folder == "entitlements")
    with (
        canned(Held().answer()) as url,
        run_function("tests.bench.patient.lambda_handler", environ(url)) as check,
    ):
        cpu_of(check, event(), 100)
        used = statistics.median(cpu_of(check, event(), 300) for _ in range(count)) / 1000
    computed = used * ONE_VCPU / memory
    billed = math.ceil(computed + DYNAMODB_MS)
    measured = (
        f"{used:.2f} ms of CPU measured are {computed:.1f} ms at {memory} MB; with {DYNAMODB_MS:g} ms of DynamoDB, "
        f"{billed} ms are billed:"
    )
    return "\n".join([measured, "", HEAD, *(_row(front, billed, memory) for front in FRONTS)])


def _row(front: str, billed: int, memory: int) -> str:
    dollars = [line.dollars for line in million_checks(front, billed, memory)]
    return f"| {front} | **{sum(dollars):.2f}** | {' + '.join(f'{each:.2f}' for each in dollars)} |"
