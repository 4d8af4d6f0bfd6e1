"""So many checks of one process, with nothing imported that a function does not import: for counting instructions."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

from functions.entitlements.handler import build

KEY = os.environ.get("BENCH_KEY", "")
CONTEXT = SimpleNamespace(aws_request_id="00000000-0000-0000-0000-000000000001")


def ask(calls: int) -> None:
    """Raises RuntimeError where a check is not answered 200."""
    sample = Path(__file__).parents[2] / "events" / "http" / "entitlements-check.json"
    event = json.loads(sample.read_text("utf-8").replace("PROJECT_KEY", KEY))
    at = datetime.now(UTC)  # one instant for all: the counts must not hang on the clock
    handler = build(os.environ, lambda: at, read_timeout=60)
    for _ in range(calls):
        answer = handler(event, CONTEXT)
        if answer["statusCode"] != 200:
            raise RuntimeError(f"the check was answered {answer}")
