import os
import subprocess
import sys
from typing import Any

from billing.runtime.entrypoint import Handle, entrypoint

PROGRAM = """
from billing.runtime.entrypoint import entrypoint
def build():
    print("built")
    return lambda event, context: print("handled", event)
handler = entrypoint(build)
print("imported")
handler(1, None)
handler(2, None)
"""


def test_outside_lambda_importing_builds_nothing_and_the_first_call_builds_once() -> None:
    builds = []

    def build() -> Handle:
        builds.append(1)
        return lambda event, _context: event

    handler = entrypoint(build)
    assert builds == []
    event: dict[str, Any] = {"a": 1}
    assert handler(event, None) is event
    assert handler(event, None) is event
    assert builds == [1]


def test_on_lambda_init_builds() -> None:
    environ = {**os.environ, "AWS_LAMBDA_FUNCTION_NAME": "check"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout.split("\n")[:4] == ["built", "imported", "handled 1", "handled 2"]
