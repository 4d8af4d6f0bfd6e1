"""`python -m infra.costs`: what a month costs, with its arithmetic, as the tables of docs/costs.md."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.fleet import FLEET, SCHEDULES

RUNBOOKS = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
"""Has a section for each alarm; those of a shift are made for each function that is shifted."""

HOURS = 730
SECONDS = HOURS * 3600
MILLION = 1_000_000

# US dollars in us-east-1 as of 2026, without the free tier. docs/costs.md says which were read off AWS's pages when.
HTTP_API = 1.00  # a million requests, as all of these
REST_API = 3.50
REQUEST = 0.20
QUEUE_REQUEST = 0.40
BUS_EVENT = 1.00
TRACE = 5.00
READ_UNIT = 0.125
WRITE_UNIT = 0.625
WAF_REQUEST = 0.60
GB_SECOND = 0.0000133334  # Lambda on ARM
SNAPSHOT_GB_SECOND = 0.0000015046  # SnapStart keeps a snapshot of each published version
RESTORED_GB = 0.0001397998
ACU_HOUR = 0.12
MEDIUM_HOUR = 0.065  # db.t4g.medium, one zone
PROXY_HOUR = 0.015  # for each vCPU, or for each ACU of Aurora Serverless, of which 8 are paid at least
AURORA_GB = 0.10
RDS_GB = 0.115
NAT_HOUR = 0.045
NANO_HOUR = 0.0042  # t4g.nano as a NAT
ADDRESS_HOUR = 0.005  # the NAT's public one
NAT_GB = 0.045
OUT_GB = 0.09
LOG_GB = 0.50
SECRET = 0.40
KEY = 1.00
ALARM = 0.10
DASHBOARD = 3.00
METRIC = 0.30
WAF = 5.00 + 3 * 1.00  # the web ACL and its rules

# Assumptions; measure yours, and change them here.
CHECK_MS = 8  # billed, cold starts and misses spread over all
EVENT_MS = 150
TICK_MS = 100
EVENTS_PER_CHECK = 0.01
RESTORES_PER_REQUEST = 0.001
UNITS_PER_CHECK = 2  # consistent reads of the key's record and the snapshot, 4 KB each at most
UNITS_PER_EVENT = 2  # a snapshot of 2 KB is put
CHECK_LOG_KB = 1.0  # our line, Lambda's own and the front's
CHECK_OUT_KB = 1.5
EVENT_LOG_KB = 2.0
EVENT_NAT_KB = 20  # what the worker asks Stripe, and the rest of AWS
SAMPLED = 0.05  # X-Ray's own rule
OWN_METRICS = 60
STORED_GB = 20

_TIMES = " \N{MULTIPLICATION SIGN} "  # a star would be read as markup


@dataclass(frozen=True)
class Design:
    """What is chosen by context. `acus`: the average of each of the `instances` by load; none: RDS."""

    name: str
    options: str
    instances: int
    aurora: bool
    nat_instance: bool


PROD = Design("prod", "as it is", 2, aurora=True, nat_instance=False)
SMALL = Design("small", "-c database=rds -c multi_az=false -c nat=instance", 1, aurora=False, nat_instance=True)
DESIGNS = (PROD, SMALL)


@dataclass(frozen=True)
class Load:
    """`checks` a month; `acus`: what each Aurora instance needs on average."""

    name: str
    checks: int
    acus: float


LOADS = (Load("idle", 0, 0.5), Load("1 M checks", MILLION, 0.5), Load("100 M checks", 100 * MILLION, 1.0))


@dataclass(frozen=True)
class Line:
    """`sum`: the arithmetic, as a reader can redo it."""

    what: str
    dollars: float
    sum: str


def lines(design: Design, load: Load) -> Iterator[Line]:
    yield from _standing(design)
    yield from _database(design, load)
    yield from _asked(load)
    yield from _logged(load)


def total(design: Design, load: Load) -> float:
    return sum(line.dollars for line in lines(design, load))


def _standing(design: Design) -> Iterator[Line]:
    nat = NANO_HOUR if design.nat_instance else NAT_HOUR
    yield Line("NAT and its address", (nat + ADDRESS_HOUR) * HOURS, f"({nat} + {ADDRESS_HOUR}) * {HOURS} h")
    yield Line("Secrets, key", 4 * SECRET + KEY, f"4 * {SECRET:.2f} + {KEY:.2f}")
    alarms = RUNBOOKS.read_text().count("\n## Alarm: ") + sum(1 for each in FLEET if each.restored)
    watched = alarms * ALARM + DASHBOARD + OWN_METRICS * METRIC
    told = f"{alarms} * {ALARM:.2f} + {DASHBOARD:.2f} + {OWN_METRICS} * {METRIC:.2f}"
    yield Line("Alarms, dashboard, own metrics", watched, told)
    memory = sum(each.memory for each in FLEET if each.restored) / 1024
    kept = memory * SECONDS * SNAPSHOT_GB_SECOND
    yield Line("SnapStart's snapshots", kept, f"{memory} GB * {SECONDS:,} s * {SNAPSHOT_GB_SECOND}")
    ticks = sum(each.expression == "rate(1 minute)" for each in SCHEDULES) * HOURS * 60
    paid = ticks * (TICK_MS / 1000 * 0.5 * GB_SECOND + REQUEST / MILLION)
    yield Line(
        "Schedules", paid, f"{ticks:,} * ({TICK_MS / 1000} s * 0.5 GB * {GB_SECOND} + {REQUEST:.2f} / {MILLION:,})"
    )


def _database(design: Design, load: Load) -> Iterator[Line]:
    if design.aurora:
        acus = design.instances * load.acus
        proxied = max(acus, 8)
        yield Line("Aurora", acus * ACU_HOUR * HOURS, f"{acus} ACU * {ACU_HOUR} * {HOURS} h")
        yield Line("RDS Proxy", proxied * PROXY_HOUR * HOURS, f"{proxied} ACU * {PROXY_HOUR} * {HOURS} h")
        yield Line("Storage", STORED_GB * AURORA_GB, f"{STORED_GB} GB * {AURORA_GB:.2f}")
        return
    hourly = design.instances * MEDIUM_HOUR
    yield Line("RDS db.t4g.medium", hourly * HOURS, f"{design.instances} * {MEDIUM_HOUR} * {HOURS} h")
    yield Line("RDS Proxy", 2 * PROXY_HOUR * HOURS, f"2 vCPU * {PROXY_HOUR} * {HOURS} h")
    yield Line("Storage", STORED_GB * RDS_GB, f"{STORED_GB} GB * {RDS_GB}")


def _asked(load: Load) -> Iterator[Line]:
    events = load.checks * EVENTS_PER_CHECK
    requests = load.checks + events
    yield Line("HTTP API", requests / MILLION * HTTP_API, f"{_m(requests)} * {HTTP_API:.2f}")
    seconds = (load.checks * CHECK_MS + events * (CHECK_MS + EVENT_MS)) / 1000 * 0.5
    runs = requests + events
    told = f"{seconds:,.0f} GB-s * {GB_SECOND} + {_m(runs)} * {REQUEST:.2f}"
    yield Line("Lambda", seconds * GB_SECOND + runs / MILLION * REQUEST, told)
    restored = requests * RESTORES_PER_REQUEST * 0.5
    yield Line("SnapStart's restores", restored * RESTORED_GB, f"{restored:,.0f} GB * {RESTORED_GB}")
    reads, writes = load.checks * UNITS_PER_CHECK, events * UNITS_PER_EVENT
    paid = (reads * READ_UNIT + writes * WRITE_UNIT) / MILLION
    yield Line("DynamoDB", paid, f"{_m(reads)} reads * {READ_UNIT} + {_m(writes)} writes * {WRITE_UNIT}")
    paid = events / MILLION * (3 * QUEUE_REQUEST + BUS_EVENT)
    yield Line("SQS, EventBridge", paid, f"{_m(events)} * (3 * {QUEUE_REQUEST:.2f} + {BUS_EVENT:.2f})")
    out, through = load.checks * CHECK_OUT_KB / MILLION, events * EVENT_NAT_KB / MILLION
    yield Line("Traffic", out * OUT_GB + through * NAT_GB, f"{out:,.2f} GB * {OUT_GB} + {through:,.2f} GB * {NAT_GB}")


def _logged(load: Load) -> Iterator[Line]:
    events = load.checks * EVENTS_PER_CHECK
    logged = (load.checks * CHECK_LOG_KB + events * EVENT_LOG_KB) / MILLION
    yield Line("Logs", logged * LOG_GB, f"{logged:,.2f} GB * {LOG_GB:.2f}")
    traces = (load.checks + 2 * events) * SAMPLED
    yield Line("X-Ray", traces / MILLION * TRACE, f"{_m(traces)} * {TRACE:.2f}")


def _m(number: float) -> str:
    return f"{number / MILLION:g} M"


def _shown(text: str) -> str:
    return text.replace(" * ", _TIMES)


def table(design: Design) -> str:
    """Each line at each load, with the arithmetic of the largest."""
    columns = [list(lines(design, load)) for load in LOADS]
    rows = [
        f"| {row[-1].what} | {' | '.join(f'{each.dollars:,.2f}' for each in row)} | {_shown(row[-1].sum)} |"
        for row in zip(*columns, strict=True)
    ]
    head = f"| {design.name} | {' | '.join(load.name for load in LOADS)} | the last, worked out |"
    sums = " | ".join(f"**{total(design, load):,.2f}**" for load in LOADS)
    return "\n".join([head, "| --- |" + " ---: |" * len(LOADS) + " --- |", *rows, f"| **a month, $** | {sums} | |"])


FRONTS = {"HTTP API": HTTP_API, "REST API": REST_API, "function URL": 0.0}
"""Dollars a million requests. A function URL is the function's own address: no front, no throttling, no WAF."""


def million_checks(front: str, milliseconds: float, memory: int) -> Iterator[Line]:
    """A million checks that hit, billed so many `milliseconds` each, at `memory` MB; without what stands idle."""
    seconds = 1000 * milliseconds * memory / 1024
    logged, out = CHECK_LOG_KB, CHECK_OUT_KB  # a million kB are a GB
    yield Line("front", FRONTS[front], f"{FRONTS[front]:.2f}")
    yield Line("Lambda, requests", REQUEST, f"{REQUEST:.2f}")
    yield Line("Lambda, compute", seconds * GB_SECOND, f"{seconds:,.0f} GB-s * {GB_SECOND}")
    yield Line("DynamoDB", UNITS_PER_CHECK * READ_UNIT, f"{UNITS_PER_CHECK} M reads * {READ_UNIT}")
    yield Line("logs", logged * LOG_GB, f"{logged:.1f} GB * {LOG_GB:.2f}")
    yield Line("traffic", out * OUT_GB, f"{out:.1f} GB * {OUT_GB}")
    yield Line("X-Ray", SAMPLED * TRACE, f"{SAMPLED} M * {TRACE:.2f}")


def rest_instead(load: Load) -> float:
    """What `-c front=rest` adds: dearer requests, and its WAF."""
    requests = load.checks * (1 + EVENTS_PER_CHECK) / MILLION
    return WAF + requests * (REST_API - HTTP_API + WAF_REQUEST)


def pages() -> str:
    """The generated part of docs/costs.md."""
    more = ", ".join(f"{load.name}: {rest_instead(load):,.2f}" for load in LOADS)
    told = [f"With `{each.options}`:" if each is not PROD else "The stage `prod` as it is:" for each in DESIGNS]
    tables = [f"{said}\n\n{table(each)}" for said, each in zip(told, DESIGNS, strict=True)]
    return "\n\n".join([*tables, f"`-c front=rest` adds, with its WAF, {more}."])


if __name__ == "__main__":
    print(pages())  # noqa: T201  this is what it is for
