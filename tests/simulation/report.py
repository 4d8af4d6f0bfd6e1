"""What the simulation tells whoever runs it."""

import sys
import time
from collections import Counter

from tests.simulation.run import Simulation

_REPORTED = (
    "seeds",
    "steps",
    "deeds",
    "events",
    "tasks",
    "reads",
    "faults",
    "crashes",
    "retries",
    "lock waits",
    "deadlocks",
    "violations",
)


_TELLING = (" world ", "acknowledged", "crash ", ": broken ", ": late", ": refused", "delivers late", "deadlock")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def totals_so_far(totals: Counter[str], began: float) -> str:
    """One line; `began` by `time.monotonic`."""
    seconds = time.monotonic() - began
    numbers = ", ".join(f"{totals[name]} {name}" for name in _REPORTED)
    return f"{seconds:.0f} s: {numbers} ({totals['seeds'] / seconds:.2f} seeds/s)"


def broken_promise(played: Simulation, what: str, lines: int) -> str:
    """The end of a seed's story, and how to see it again."""
    story = played.stage.story[-lines:] if lines else []
    deeds = [line for line in played.stage.story if any(word in line for word in _TELLING)][-lines:] if lines else []
    return "\n".join(
        [
            *(["--- what happened"] if lines else []),
            *deeds,
            *(["--- the last steps"] if lines else []),
            *story,
            f"--- seed {played.seed}, step {played.stage.step}: {what}",
            f"--- again: make simulate SEED={played.seed} STEPS={played.steps}",
        ]
    )
