"""What was asked under one name, and how fast it was answered: a line of the page's tables."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """`rate` is answers a second; times are milliseconds, as the caller saw them."""

    name: str
    requests: int
    failures: int
    rate: float
    p50: float
    p95: float
    p99: float
    longest: float


def save_lines(path: Path, lines: Iterable[Line]) -> None:
    path.write_text(json.dumps([asdict(line) for line in lines]))


def load_lines(path: Path) -> list[Line]:
    return [Line(**line) for line in json.loads(path.read_text())]
