"""What the operations stack watches: names alone, so that it holds no other stack's resources fast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from infra.fleet import FLEET, PREFIX
from infra.stages import DatabaseKind, Front, Nat, Stage


@dataclass(frozen=True)
class WatchedFront:
    """`api`: an HTTP API's id, a REST API's name; `stage`: of API Gateway, `$default` for most HTTP APIs."""

    kind: Front
    api: str
    stage: str


@dataclass(frozen=True)
class WatchedDatabase:
    """`identifier`: Aurora's cluster or RDS' instance. `proxy`: the RDS Proxy's name."""

    kind: DatabaseKind
    identifier: str
    proxy: str


@dataclass(frozen=True)
class WatchedNat:
    """`identifier`: a NAT gateway's id or an instance's."""

    kind: Nat
    identifier: str


@dataclass(frozen=True)
class Watched:
    """One deployment. `functions` are names by folder, `quota` the account's executions at once in this region."""

    stage: str
    functions: Mapping[str, str]
    queue: str
    dead_letters: str
    table: str
    bus: str
    front: WatchedFront
    database: WatchedDatabase
    nat: WatchedNat | None = None
    quota: int = 1_000

    @classmethod
    def of(cls, stage: Stage, front: WatchedFront, database: WatchedDatabase, nat: WatchedNat | None = None) -> Self:
        """What has its name from the stage, and what AWS or another stack named."""
        prefix = f"{PREFIX}-{stage.name}"
        return cls(
            stage.name,
            {function.folder: f"{prefix}-{function.name}" for function in FLEET},
            f"{prefix}-events",
            f"{prefix}-events-dead",
            f"{prefix}-entitlements",
            f"{prefix}-bus",
            front,
            database,
            nat,
        )

    @property
    def prefix(self) -> str:
        return f"{PREFIX}-{self.stage}"

    def log_group(self, folder: str) -> str:
        return f"/aws/lambda/{self.functions[folder]}"
