"""The EventBridge bus on which this service tells others what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing.errors import Transient
from billing.runtime.aws import AwsClient, AwsError

SOURCE = "billing"
CHANGED = "entitlements.changed"

MAX_DETAIL = 200_000
"""Bytes of an event's detail: EventBridge takes 256 KiB with its envelope."""


@dataclass(frozen=True, slots=True)
class Bus:
    client: AwsClient
    name: str


def announce_change(bus: Bus, snapshot: Mapping[str, Any], cause: tuple[str, str]) -> None:
    """Publish a user's new snapshot (the body of `GET /entitlements`) with the kind and id of what caused it.

    May arrive twice or late: `version` tells. A snapshot too large for an event goes without its entitlements, which
    the subscriber then asks for. Raises Transient.
    """
    kind, identity = cause
    detail = {**snapshot, "cause": {"kind": kind, "id": identity}, "truncated": False}
    text = _encode(detail)
    if len(text.encode()) > MAX_DETAIL:
        text = _encode({**detail, "entitlements": [], "truncated": True})
    entry = {"EventBusName": bus.name, "Source": SOURCE, "DetailType": CHANGED, "Detail": text}
    try:
        answer = bus.client.call("PutEvents", {"Entries": [entry]})
    except AwsError as error:
        raise Transient("unavailable", "The event bus did not take the event. Try again.") from error
    # a refused entry comes with status 200
    if answer.get("FailedEntryCount"):
        code = answer["Entries"][0].get("ErrorCode", "no code")
        raise Transient("unavailable", f"The event bus refused the event ({code}). Try again.")


def _encode(detail: Mapping[str, Any]) -> str:
    return json.dumps(detail, separators=(",", ":"), ensure_ascii=False)
