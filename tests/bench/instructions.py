"""How many instructions a cold import and a check's hit take, by valgrind: the same however busy the machine is.

`python -m tests.bench.instructions` counts and compares with what is recorded beside this file (instructions.json);
`--write` records anew. tests/bench/test_instructions.py fails where one has grown by more than a tenth.

Counts are of one build of CPython: on another one each count is compared by its ratio to `import asyncio`, counted
there and then. Pure user space: what the kernel does is not in them.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.canned import canned
from tests.bench.check_scene import KEY, Held, environ

RECORD = Path(__file__).with_name("instructions.json")
GROWTH = 1.1
HOW_TO_RECORD = "python -m tests.bench.instructions --write"

_ROOT = Path(__file__).parents[2]
_IMPORTS = {
    "import entitlements": "import functions.entitlements.handler",
    "import webhooks": "import functions.webhooks.handler",
}
_BASELINE = "import asyncio"
_FEW, _MANY = 20, 220
_HITS = "import sys; from tests.bench.asked import ask; ask(int(sys.argv[1]))"


@dataclass(frozen=True)
class Counted:
    """Millions of instructions: of an interpreter that imports this and nothing else, and of one hit."""

    build: str
    baseline: float
    counts: Mapping[str, float]


def build() -> str:
    """What the counts depend on beside our code."""
    return f"{platform.python_implementation()} {sys.version} {platform.machine()}"


def available() -> bool:
    return shutil.which("valgrind") is not None and sys.platform == "linux"


def count() -> dict[str, float]:
    """Millions, by name. Raises RuntimeError where valgrind or what it runs fails."""
    counts = {name: round(_count(code) / 1e6, 2) for name, code in _IMPORTS.items()}
    with canned(Held().answer()) as url:
        few, many = (_count(_HITS, str(calls), BENCH_KEY=KEY, **environ(url)) for calls in (_FEW, _MANY))
    return {**counts, "check, hit": round((many - few) / (_MANY - _FEW) / 1e6, 4)}


def baseline() -> float:
    return round(_count(_BASELINE) / 1e6, 2)


def _count(code: str, *arguments: str, **more: str) -> int:
    """Instructions of a fresh interpreter that runs `code`, all of it compiled before."""
    program = [sys.executable, "-c", code, *arguments]
    environ = {**os.environ, "PYTHONHASHSEED": "0", **more}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(program, env=environ, cwd=_ROOT, check=True, stderr=subprocess.DEVNULL)
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", *program]
    ran = subprocess.run(command, env=environ, cwd=_ROOT, capture_output=True, text=True, check=False)
    refs = re.search(r"I\s+refs:\s+([\d,]+)", ran.stderr)
    if ran.returncode != 0 or refs is None:
        raise RuntimeError(f"valgrind could not run {code!r}: {ran.stderr[-2000:]}")
    return int(refs[1].replace(",", ""))


def recorded() -> Counted:
    return Counted(**json.loads(RECORD.read_text("utf-8")))


def grown(now: Mapping[str, float], before: Counted) -> dict[str, float]:
    """By what factor each has grown; on another build than the record's, measured by the baseline."""
    scale = 1.0 if before.build == build() else before.baseline / baseline()
    return {name: scale * figure / before.counts[name] for name, figure in now.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.instructions", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"record the counts in {RECORD.name}")
    wanted = parser.parse_args()
    now = count()
    for name, factor in grown(now, recorded()).items():
        print(f"{name}: {now[name]} M instructions, {factor:.3f} of the record")
    if wanted.write:
        counted = Counted(build(), baseline(), now)
        RECORD.write_text(json.dumps(asdict(counted), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
