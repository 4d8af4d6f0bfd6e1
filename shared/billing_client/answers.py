"""What the service answers, as values. Times are UTC; `valid_to` None: no end is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Source = Literal["service", "memory", "last_known", "policy"]
"""Who answered: the service just now · this process, within the times of `Options` · this process although the service
cannot be asked (`LastKnown`) · nobody: the feature's failure policy."""

UNLIMITED = "unlimited"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """May this user use this feature? True or False in an `if`, as `allowed` is.

    `value`: true, a number or "unlimited", or JSON, by the feature's type; None where not allowed.
    `reason`: the service's word (docs/quick-start.md), or `unavailable` where `source` is `policy`.
    `stale`: the service itself could not ask its store, and this was the last it knew.
    `as_of`: when this version came to be; None, and `version` 0, where `source` is `policy`.
    """

    allowed: bool
    value: Any
    reason: str
    valid_to: datetime | None
    user_id: str
    feature: str
    version: int
    as_of: datetime | None
    stale: bool = False
    source: Source = "service"

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def degraded(self) -> bool:
        """Not what the service would say if all were well."""
        return self.stale or self.source in ("last_known", "policy")


@dataclass(frozen=True, slots=True)
class Entitlement:
    """`sources`: why it is held, as the service tells it."""

    feature: str
    type: str
    value: Any
    valid_to: datetime | None
    sources: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Entitlements:
    """All that a user holds, by feature. `"export" in held`, `held.value("seats")`."""

    user_id: str
    version: int
    as_of: datetime
    held: Mapping[str, Entitlement]
    stale: bool = False
    source: Source = "service"

    def __contains__(self, feature: object) -> bool:
        return feature in self.held

    def value(self, feature: str) -> Any:
        """None where it is not held."""
        found = self.held.get(feature)
        return None if found is None else found.value

    @property
    def degraded(self) -> bool:
        """Not what the service would say if all were well."""
        return self.stale or self.source == "last_known"

    @property
    def valid_to(self) -> datetime | None:
        """The first end among them."""
        return min((each.valid_to for each in self.held.values() if each.valid_to is not None), default=None)


@dataclass(frozen=True, slots=True)
class Checkout:
    """Send the user's browser to `url`; the session is over at `expires_at`."""

    session_id: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Synced:
    """A checkout's outcome, applied. `status` and `payment_status` are Stripe's words."""

    session_id: str
    status: str
    payment_status: str
    entitlements_version: int


@dataclass(frozen=True, slots=True)
class Token:
    """A signed copy of what a user may do, to be verified without asking anybody."""

    token: str
    expires_at: datetime


def check_of(document: Document) -> Check:
    return Check(
        allowed=document["allowed"] is True,
        value=document["value"],
        reason=document["reason"],
        valid_to=instant(document["valid_to"]),
        user_id=document["user_id"],
        feature=document["feature"],
        version=int(document["version"]),
        as_of=datetime.fromisoformat(document["as_of"]),
        stale=document["stale"] is True,
    )


def entitlements_of(document: Document) -> Entitlements:
    entries = [
        Entitlement(e["feature"], e["type"], e["value"], instant(e["valid_to"]), tuple(e["sources"]))
        for e in document["entitlements"]
    ]
    return Entitlements(
        user_id=document["user_id"],
        version=int(document["version"]),
        as_of=datetime.fromisoformat(document["as_of"]),
        held={entry.feature: entry for entry in entries},
        stale=document["stale"] is True,
    )


def checkout_of(document: Document) -> Checkout:
    return Checkout(document["session_id"], document["url"], datetime.fromisoformat(document["expires_at"]))


def synced_of(document: Document) -> Synced:
    return Synced(
        document["session_id"],
        document["status"],
        document["payment_status"],
        int(document["entitlements_version"]),
    )


def token_of(document: Document) -> Token:
    return Token(document["token"], datetime.fromisoformat(document["expires_at"]))


def instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
