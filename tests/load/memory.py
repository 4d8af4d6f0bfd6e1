"""How much memory the system's processes hold, over time: does anything grow?"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import descendants

PROC = Path("/proc")
_FUNCTION = b"AWS_LAMBDA_FUNCTION_NAME="
_PROGRAMS = {b"ministack": "the emulator", b"infra.local.stripe_double": "the Stripe double"}

EVERY = 5.0
"""Seconds between two samples."""

Sample = dict[str, float]
"""The largest resident set of any process of each name, in MB."""


@dataclass
class Memory:
    """Samples by second. Nothing is sampled where there is no /proc."""

    root: int
    samples: list[tuple[float, Sample]] = field(default_factory=list)

    def watch(self, at: float) -> bool:
        """Called each second; looks now and then. Never ends a run."""
        if not self.samples or at - self.samples[-1][0] >= EVERY:
            self.samples.append((at, _largest(descendants(self.root))))
        return False

    def growth(self, name: str) -> tuple[float, float] | None:
        """MB in the middle of the first and of the last fifth of the time; None where it was not seen in both."""
        fifth = max(len(self.samples) // 5, 1)
        first = [sample[name] for _, sample in self.samples[:fifth] if name in sample]
        last = [sample[name] for _, sample in self.samples[-fifth:] if name in sample]
        if not first or not last:
            return None
        return sorted(first)[len(first) // 2], sorted(last)[len(last) // 2]

    def names(self) -> list[str]:
        return sorted({name for _, sample in self.samples for name in sample})


def _largest(pids: Iterable[int]) -> Sample:
    held: Sample = defaultdict(float)
    for pid in pids:
        try:
            name = _name(pid)
            if name is not None:
                held[name] = max(held[name], resident(pid))
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # it ended just now, or is another user's
            continue
    return dict(held)


def _name(pid: int) -> str | None:
    arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    if any(argument.endswith(b"guard.py") for argument in arguments):
        return None
    for word, name in _PROGRAMS.items():
        if word in arguments:
            return name
    for setting in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
        if setting.startswith(_FUNCTION):
            return setting.removeprefix(_FUNCTION).decode().removeprefix("billing-")
    return None


def resident(pid: int) -> float:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
