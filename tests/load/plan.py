"""What a Locust process is told by whoever starts it: a file of its own, for it holds keys."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "LOAD_PLAN"
"""Environment variable that names the file."""


@dataclass(frozen=True)
class Plan:
    """`rate` is requests a second over all `callers` (closed loop: each waits for its answer before the next).

    `senders` deliver the events of `deliveries` (a file, one body a line) as fast as they are accepted; `buyers` buy.
    `store_away`: PostgreSQL is killed meanwhile, so 503 is an honest answer to what needs it. `lines`: the file for
    what was measured.
    """

    api_url: str
    key: str
    holders: list[str]
    others: list[str]
    rate: float
    callers: int
    buyers: int = 0
    senders: int = 0
    deliveries: str = ""
    webhook_secret: str = ""
    store_away: bool = False
    lines: str = ""

    @property
    def users(self) -> int:
        return self.callers + self.buyers + self.senders

    def save(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def load(cls, path: Path) -> "Plan":
        return cls(**json.loads(path.read_text()))
