"""Known-bad designs of the protocol, each one small change of the product's text, and the seed that finds it.

`python -m tests.simulation.mutants [NAME…] --hunt 1-60` looks for seeds anew, when product or simulation has changed.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.__main__ import BROKEN
from tests.simulation.report import say
from tests.simulation.servers import Servers, run_servers
from tests.support.postgres import temporary_directory

ROOT = Path(__file__).parents[2]
_NEEDED = ("shared", "functions", "infra", "tests")


@dataclass(frozen=True)
class Mutant:
    """`seed` at `steps` must break a promise; `edits` are (file under shared/billing, exact text, its replacement)."""

    name: str
    seed: int
    edits: tuple[tuple[str, str, str], ...]
    steps: int = 800


# What functions of the migrations do, done badly.
_UNLOCKED = (
    "SELECT (SELECT COALESCE(jsonb_object_agg(k.id, k.customer_id), '{}') FROM stripe_customers AS k"
    " WHERE k.id = ANY($1::text[]) OR k.id = s.stripe_customer_id), to_jsonb(s)"
    " FROM (SELECT) AS always LEFT JOIN subscriptions AS s ON s.id = $2"
)
_NUMBERED_BEFORE = (
    "WITH given (customer, held, at, cause, evidence) AS"
    " (VALUES ($1::bigint, $2::jsonb, $3::timestamptz, $4::text, $5::text)), changed AS ("
    "UPDATE customers SET holdings = held, version = pg_current_xact_id()::text::bigint, changed_at = at"
    " FROM given WHERE id = customer RETURNING version), recorded AS ("
    "INSERT INTO holdings_changes (customer_id, version, holdings, changed_at, cause_kind, cause_id)"
    " SELECT customer, version, held, at, cause, evidence FROM given, changed)"
    " INSERT INTO outbox (customer_id, cause_kind, cause_id) SELECT customer, cause, evidence FROM given"
)

MUTANTS = (
    Mutant(
        "no customer row lock",
        1004,
        (
            ("store/customers.py", "WHERE id = %s FOR UPDATE", "WHERE id = %s"),
            ("store/subjects.py", '"SELECT owners, subscription FROM lock_subject($1, $2)"', f'"{_UNLOCKED}"'),
            (
                "store/inbox.py",
                "    about = (sorted(told.subject.stripe_ids), told.subject.subscription_id)\n",
                "    about: tuple[list[str], None] = ([], None)\n",
            ),
            ("store/inbox.py", "locked_of(one.subject, *locked))", "lock(connection, one.subject))"),
            ("store/inbox.py", "Subject, locked_of\n", "Subject, lock\n"),
        ),
    ),
    Mutant(
        "no republish on redelivery",
        1004,
        (("usecases/apply_event.py", "return outcome, tuple(before.customer_ids)", "return outcome, ()"),),
    ),
    Mutant(
        "version allocated outside the lock",
        1003,
        # PostgreSQL numbers a transaction at its first write: the claim of the event, before the lock
        (("store/holdings.py", '"SELECT change_holdings($1, $2, $3, $4, $5)"', f'"{_NUMBERED_BEFORE}"'),),
    ),
    Mutant(
        "strict > on refill",
        1001,
        (("cache/client.py", "'<=' if or_equal else '<'", "'<'"),),
    ),
    Mutant(
        "answer before fill",
        1030,
        (
            (
                "usecases/refill_snapshot.py",
                "def refill_key(",
                "_LATE: dict[str, SnapshotItem] = {}\n\n\ndef refill_key(",
            ),
            (
                "usecases/refill_snapshot.py",
                "        return cached.put_snapshot(cache, item, refill=True) or item",
                (
                    "        late = _LATE.pop(database_url, None)\n"
                    "        if late is not None:\n"
                    "            cached.put_snapshot(cache, late, refill=True)\n"
                    "        _LATE[database_url] = item\n"
                    "        return item"
                ),
            ),
        ),
    ),
    Mutant(
        "answer without a fill",
        1001,
        (
            (
                "usecases/refill_snapshot.py",
                "return cached.put_snapshot(cache, item, refill=True) or item",
                "return item",
            ),
        ),
    ),
    Mutant(
        "ack before publish",
        1001,
        (
            (
                "usecases/apply_event.py",
                "    publish_customers(worker.publisher, touched, worker.now())\n    return outcome",
                "    return outcome",
            ),
        ),
    ),
    Mutant(
        "ack though the publish failed",
        1010,
        (
            (
                "usecases/apply_event.py",
                "    publish_customers(worker.publisher, touched, worker.now())\n    return outcome",
                (
                    "    try:\n        publish_customers(worker.publisher, touched, worker.now())\n"
                    "    except Transient:\n        pass\n    return outcome"
                ),
            ),
        ),
    ),
    Mutant(
        "watermark of a fetched row = event.created",
        1004,
        (
            (
                "usecases/observation.py",
                "        return known.answer\n",
                (
                    "        answer = known.answer\n"
                    "        return Fetched(answer.fact, seen.at) if isinstance(answer, Fetched) else answer\n"
                ),
            ),
        ),
    ),
    Mutant(
        "tie stored without compare-and-set",
        1172,
        (("usecases/observation.py", "known is not None and known.revision == revision", "known is not None"),),
    ),
    Mutant(
        "last arrival wins",
        1001,
        (("domain/facts.py", 'return "tie" if observed_at == stored_watermark else "older"', 'return "newer"'),),
    ),
    Mutant(
        "writers put blindly",
        1001,
        (
            (
                "cache/client.py",
                "f\"attribute_not_exists(pk) OR v {'<=' if or_equal else '<'} :v\"",
                '"attribute_not_exists(pk) OR v <= :v OR v > :v"',
            ),
        ),
    ),
    Mutant(
        "done said without a fence",
        1006,
        (("usecases/fence.py", "        if held:\n            return\n", "        return\n"),),
    ),
)


@contextmanager
def mutated(mutant: Mutant | None) -> Iterator[Path]:
    """A copy of the sources with the mutant's edits. Raises LookupError where a text is not there exactly once."""
    with temporary_directory("billing-mutant-") as copy:
        for name in _NEEDED:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file, old, new in mutant.edits if mutant else ():
            path = copy / "shared/billing" / file
            text = path.read_text()
            if text.count(old) != 1:
                raise LookupError(f"{file} holds this {text.count(old)} times, not once; mend the mutant: {old!r}")
            path.write_text(text.replace(old, new))
        yield copy


def play(source: Path, servers: Servers, seeds: str, steps: int) -> tuple[int, str]:
    """Exit code and report of the simulation run on the sources in that directory."""
    command: list[str | Path] = [
        sys.executable, "-m", "tests.simulation", *seeds.split(), "--steps", str(steps), "--story", "0",
        "--postgres-port", str(servers.postgres_port), "--aws-url", servers.aws_url,
    ]  # fmt: skip
    path = os.pathsep.join((str(source), str(source / "shared")))
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--hunt", default="1001-1060")
    parser.add_argument("--steps", type=int, default=800)
    options = parser.parse_args()
    with run_servers() as servers:
        for mutant in MUTANTS:
            if options.names and mutant.name not in options.names:
                continue
            with mutated(mutant) as source:
                code, report = play(source, servers, options.hunt, options.steps)
            told = [line for line in report.splitlines() if line.startswith("---")]
            say(f"{mutant.name}: {told[-2][:300] if code == BROKEN and told else report[-600:]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
