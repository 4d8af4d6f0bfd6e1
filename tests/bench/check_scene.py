"""A check that hits: the gateway's event, the item the table holds, and the environment of the function."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from billing.cache.item import FRESH, KeyRecord, SnapshotItem, key_to_item, snapshot_to_item
from billing.domain import keys
from billing.domain.catalog import Feature
from billing.domain.entitlements import FeatureState
from billing.domain.snapshot import Snapshot
from billing.domain.sources import Source
from billing.domain.windows import Window

KEY = keys.mint("test", "notes", bytes(32))
TABLE = "table"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
EVENTS = Path(__file__).parents[2] / "events" / "http"
LONG = timedelta(hours=20)
"""The canned items stay fresh for so long."""


def environ(dynamodb_url: str) -> dict[str, str]:
    """Of the function: PostgreSQL is out of reach, so that only hits are answered 200."""
    return {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": dynamodb_url,
        "TABLE_NAME": TABLE,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing",
    }


def event(sample: str = "entitlements-check") -> dict[str, Any]:
    """A sample of events/http, with this scene's key."""
    text = (EVENTS / f"{sample}.json").read_text("utf-8").replace("PROJECT_KEY", KEY)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def batch(users: Sequence[str]) -> dict[str, Any]:
    """A batch of one check a user."""
    asked = event("entitlements-check-batch")
    asked["body"] = json.dumps({"checks": [{"user_id": user, "feature": "export"} for user in users]})
    return asked


@dataclass(frozen=True)
class Held:
    """What the table holds of these users, each with three features."""

    users: Sequence[str] = ("ada",)
    whole: bool = False

    def answer(self) -> bytes:
        """BatchGetItem's answer to the check's projection, with the key's record; `whole`: to a read of everything."""
        now = datetime.now(UTC)
        items = [self._snapshot(user, now) for user in self.users]
        record = KeyRecord(
            keys.digest(KEY), 5, 2, now + LONG, "key_1", "backend", "project", "test", "notes", "notes", "active"
        )
        return json.dumps(
            {"Responses": {TABLE: [key_to_item(record), *items]}, "UnprocessedKeys": {}}, separators=(",", ":")
        ).encode()

    def _snapshot(self, user: str, now: datetime) -> Any:
        window = Window(now - timedelta(days=1), now + timedelta(days=30))
        features = {
            code: FeatureState(Feature(code, "boolean"), (Source("grant", "grant_1", code, True, window, now),))
            for code in ("export", "share", "search")
        }
        made = SnapshotItem.of(Snapshot("notes", user, 7, 2, now, features), now)
        item = dict(snapshot_to_item(made._replace(fresh_until=made.fresh_until - FRESH + LONG)))
        if not self.whole:
            for name in ("b", "g", "d", "ttl"):
                del item[name]
            item["k"] = {"M": {"export": item["k"]["M"]["export"]}}
        return item
