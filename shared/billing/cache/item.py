"""What the table holds and how it is written: key records (`K#…`) and snapshots (`S#…`), codec version 1.

An item of another codec version, or one that this code cannot read, is no item: the reader refills it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from billing.cache.client import Item
from billing.domain import keys
from billing.domain.keys import Mode, Role
from billing.domain.windows import Window, from_microseconds, microseconds

if TYPE_CHECKING:
    from billing.domain.snapshot import Snapshot

CODEC = "1"

FENCED = "0"
"""The codec of an item behind a fence: nobody can read it, so every reader asks PostgreSQL, or answers 503."""

FRESH = timedelta(minutes=5)
"""How long an item is used without looking at PostgreSQL. Load control only: windows are evaluated at every read."""

STALE = timedelta(hours=24)
"""How long past that an item is served, marked, while PostgreSQL cannot be reached."""

CLAIM = timedelta(seconds=2)
"""How long a reader may take to refill an item before another tries."""

_TTL = timedelta(days=1)
_MILLISECOND = 1000
_SECOND = 1_000_000
_UNSTALE = '"stale":false}'
_START = from_microseconds(0)


class KeyRecord(NamedTuple):
    """An API key with its project, as of `version`. Project members are None for an admin key, whose `epoch` is 0."""

    digest: bytes
    version: int
    epoch: int
    fresh_until: datetime
    id: str
    name: str
    role: Role
    mode: Mode
    project_id: str | None = None
    namespace: str | None = None
    project_status: Any = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class SnapshotItem(NamedTuple):
    """A snapshot with its answers ready made: they hold at every instant of `holds`, `document` at any other."""

    project_id: str
    user_id: str
    version: int
    epoch: int
    as_of: datetime
    fresh_until: datetime
    holds: Window
    body: str
    etag: str
    checks: Mapping[str, str]
    document: str

    @property
    def read_at(self) -> datetime:
        """An instant not after the snapshot was read from the store."""
        return self.fresh_until - FRESH

    @classmethod
    def of(cls, snapshot: Snapshot, now: datetime) -> SnapshotItem:
        """The item of a snapshot, its answers made for `now` and for as long as none of them changes.

        `now` is not after the snapshot was read.
        """
        from billing.domain import answers  # noqa: PLC0415  the rules: a check's hit has no use for them (ADR 44)
        from billing.domain.snapshot import segment, to_document  # noqa: PLC0415  likewise

        body = encode(answers.entitlements_answer(snapshot, now))
        return cls(
            project_id=snapshot.project_id,
            user_id=snapshot.user_id,
            version=snapshot.version,
            epoch=snapshot.epoch,
            as_of=snapshot.as_of,
            fresh_until=fresh_until(now),
            holds=Window(_since(snapshot, now), segment(snapshot, now).end),
            body=body,
            etag=etag(body),
            checks={code: encode(answers.check_answer(snapshot, code, now)) for code in snapshot.features},
            document=to_document(snapshot),
        )


class Glimpse(NamedTuple):
    """As much of a snapshot as one question needs. `answer` is None where the snapshot has no such feature."""

    project_id: str
    user_id: str
    version: int
    epoch: int
    as_of: datetime
    fresh_until: datetime
    holds: Window
    answer: str | None
    etag: str | None


def fresh_until(now: datetime) -> datetime:
    return now + FRESH


def milliseconds(instant: datetime) -> int:
    """Since 1970, rounded down: the unit of `f` and `l`."""
    return microseconds(instant) // _MILLISECOND


def key_pk(digest: bytes) -> str:
    return "K#" + digest.hex()


def snapshot_pk(tag: str, user_id: str) -> str:
    return f"S#{tag}#{user_id}"


def _since(snapshot: Snapshot, now: datetime) -> datetime:
    """The last instant at which any answer changed: a reader whose clock is a little behind finds it ready made too."""
    states = snapshot.features.values()
    windows = [source.window for state in states for source in state.sources]
    windows += [denial.window for state in states for denial in state.denials]
    edges = (edge for window in windows if not window.empty for edge in (window.start, window.end))
    return max((edge for edge in edges if edge <= now), default=_START)


def encode(answer: Mapping[str, Any]) -> str:
    """An answer as the JSON that goes out. `stale` is its last member, so that `stale` below can turn it."""
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False)


def stale(body: str) -> str:
    """The same answer, marked as served while the store could not be asked."""
    if not body.endswith(_UNSTALE):
        raise ValueError('an answer must end with "stale":false: keep it the last member in domain.answers')
    return body[: -len(_UNSTALE)] + '"stale":true}'


def etag(body: str) -> str:
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def key_to_item(record: KeyRecord) -> Item:
    texts = {
        "id": record.id,
        "n": record.name,
        "r": record.role,
        "m": record.mode,
        "p": record.project_id,
        "ns": record.namespace,
        "s": record.project_status,
    }
    instants = {"x": record.expires_at, "rv": record.revoked_at}
    return {
        "pk": {"S": key_pk(record.digest)},
        **_header(record.version, record.epoch, record.fresh_until),
        **{name: {"S": value} for name, value in texts.items() if value is not None},
        **{name: _number(microseconds(at)) for name, at in instants.items() if at is not None},
    }


def key_from_item(item: Item) -> KeyRecord | None:
    """None for an item that this code cannot read."""
    if not _readable(item):
        return None
    try:
        return KeyRecord(
            digest=bytes.fromhex(item["pk"]["S"][2:]),
            version=int(item["v"]["N"]),
            epoch=int(item["e"]["N"]),
            fresh_until=_from_milliseconds(item["f"]),
            id=item["id"]["S"],
            name=item["n"]["S"],
            role=cast("Role", item["r"]["S"]),
            mode=cast("Mode", item["m"]["S"]),
            project_id=_text(item, "p"),
            namespace=_text(item, "ns"),
            project_status=_text(item, "s"),
            expires_at=_instant(item, "x"),
            revoked_at=_instant(item, "rv"),
        )
    except (KeyError, ValueError):
        return None


def snapshot_to_item(item: SnapshotItem) -> Item:
    return {
        "pk": {"S": snapshot_pk(keys.tag(item.project_id), item.user_id)},
        **_header(item.version, item.epoch, item.fresh_until),
        "p": {"S": item.project_id},
        "a": _number(microseconds(item.as_of)),
        "t0": _number(microseconds(item.holds.start)),
        "t1": _number(microseconds(item.holds.end)),
        "b": {"S": item.body},
        "g": {"S": item.etag},
        "k": {"M": {feature: {"S": answer} for feature, answer in item.checks.items()}},
        "d": {"S": item.document},
    }


def snapshot_from_item(item: Item) -> SnapshotItem | None:
    """None for an item that this code cannot read."""
    seen = glimpse(item, None)
    if seen is None:
        return None
    try:
        return SnapshotItem(
            seen.project_id,
            seen.user_id,
            seen.version,
            seen.epoch,
            seen.as_of,
            seen.fresh_until,
            seen.holds,
            body=item["b"]["S"],
            etag=item["g"]["S"],
            checks={feature: answer["S"] for feature, answer in item["k"]["M"].items()},
            document=item["d"]["S"],
        )
    except KeyError:
        return None


def fenced_at(item: Item) -> int | None:
    """The version of an item behind a fence, which nobody may answer with (-1: there was no item); None without one."""
    return int(item["v"]["N"]) if "w" in item else None


def glimpse(item: Item, feature: str | None) -> Glimpse | None:
    """What the question needs: of one feature, or (None) the list of all. None for an item this code cannot read."""
    if not _readable(item):
        return None
    try:
        checks = item.get("k", {"M": {}})["M"]
        return Glimpse(
            project_id=item["p"]["S"],
            user_id=item["pk"]["S"].split("#", 2)[2],
            version=int(item["v"]["N"]),
            epoch=int(item["e"]["N"]),
            as_of=from_microseconds(int(item["a"]["N"])),
            fresh_until=_from_milliseconds(item["f"]),
            holds=Window(from_microseconds(int(item["t0"]["N"])), from_microseconds(int(item["t1"]["N"]))),
            answer=_text(item, "b") if feature is None else _text(checks, feature),
            etag=_text(item, "g"),
        )
    except (KeyError, ValueError, IndexError):
        return None


def _header(version: int, epoch: int, fresh: datetime) -> dict[str, Any]:
    return {
        "c": {"N": CODEC},
        "v": _number(version),
        "e": _number(epoch),
        "f": _number(milliseconds(fresh)),
        "ttl": _number(microseconds(fresh + _TTL) // _SECOND),
    }


def _readable(item: Item) -> bool:
    codec = item.get("c")
    return codec is not None and codec.get("N") == CODEC


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}


def _from_milliseconds(attribute: Mapping[str, str]) -> datetime:
    return from_microseconds(int(attribute["N"]) * _MILLISECOND)


def _text(item: Item, name: str) -> str | None:
    attribute = item.get(name)
    return None if attribute is None else attribute["S"]


def _instant(item: Item, name: str) -> datetime | None:
    attribute = item.get(name)
    return None if attribute is None else from_microseconds(int(attribute["N"]))
