"""Stripe's webhook endpoints (`webhook_endpoint`): where it sends which events, in which version of its API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stripe import StripeClient

from billing.errors import Permanent
from billing.payments.client import API_VERSION, create_once, our_errors
from billing.payments.events import READERS
from billing.payments.objects import page

EVENTS = tuple(sorted(READERS))
"""What an endpoint of ours is to send: every type with a reader, and no other."""

_KEY = "billing_key"
"""Of an endpoint's metadata: under which idempotency key it was made."""

_DESCRIPTION = "Billing and entitlements: made by `billing webhook`"

Fault = Literal["version", "disabled", "events"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`api_version` None: the account's own, which changes under us. `events` may be `*`. `key`: what made it."""

    id: str
    url: str
    enabled: bool
    api_version: str | None
    events: tuple[str, ...]
    livemode: bool
    created: int
    key: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Events that never come here. A `*` is told as superfluous, for it sends more than is wanted."""
        return () if "*" in self.events else tuple(each for each in EVENTS if each not in self.events)

    @property
    def superfluous(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.events) - set(EVENTS)))


@dataclass(frozen=True, slots=True)
class Endpoints:
    """All of the account, oldest first, at Stripe's second `at`."""

    all: tuple[Endpoint, ...]
    at: int

    def at_url(self, url: str) -> tuple[Endpoint, ...]:
        return tuple(each for each in self.all if each.url == url)


@dataclass(frozen=True, slots=True)
class Made:
    """A new endpoint, and its secret, which Stripe tells this once."""

    endpoint: Endpoint
    secret: str = field(repr=False)


def list_endpoints(client: StripeClient) -> Endpoints:
    """Stripe allows 16 of them in an account: one page. Raises Transient, Permanent."""
    found = page(client, "/v1/webhook_endpoints", {}, None)
    rows = [_endpoint(row.raw) for row in found.rows]
    return Endpoints(tuple(sorted(rows, key=lambda each: (each.created, each.id))), found.at)


def create_endpoint(client: StripeClient, url: str, key: str) -> Made:
    """With all of ours as they are to be. Under the same `key` within a day the same one, with its secret, comes again.

    Raises Transient, Rejected.
    """
    wanted: Any = {
        "url": url,
        "enabled_events": list(EVENTS),
        "api_version": API_VERSION,
        "description": _DESCRIPTION,
        "metadata": {_KEY: key},
    }
    made = create_once(key, lambda options: client.v1.webhook_endpoints.create(wanted, options))
    if not made.secret:
        raise Permanent("unknown_shape", "Stripe's new webhook endpoint came without a secret: delete it there.")
    return Made(_endpoint(made.to_dict(for_json=True)), made.secret)


def mend_endpoint(client: StripeClient, endpoint_id: str) -> None:
    """Enable it, for all of our events and no other. Its version cannot be changed. Raises Transient, Rejected."""
    wanted: Any = {"enabled_events": list(EVENTS), "disabled": False}
    with our_errors():
        client.v1.webhook_endpoints.update(endpoint_id, wanted)


def delete_endpoint(client: StripeClient, endpoint_id: str) -> None:
    """What it still had to send again is not sent. Raises Transient, Rejected."""
    with our_errors():
        client.v1.webhook_endpoints.delete(endpoint_id)


def faults_of(endpoint: Endpoint) -> Sequence[Fault]:
    """In what it is not as it must be; what only another endpoint can mend comes first."""
    faults: dict[Fault, bool] = {
        "version": endpoint.api_version != API_VERSION,
        "disabled": not endpoint.enabled,
        "events": bool(endpoint.missing or endpoint.superfluous),
    }
    return [name for name, is_so in faults.items() if is_so]


def _endpoint(raw: dict[str, Any]) -> Endpoint:
    try:
        return Endpoint(
            raw["id"],
            raw["url"],
            raw["status"] == "enabled",
            raw["api_version"],
            tuple(raw["enabled_events"]),
            raw["livemode"],
            raw["created"],
            (raw["metadata"] or {}).get(_KEY),
        )
    except (KeyError, TypeError) as fault:
        raise Permanent("unknown_shape", "Stripe's webhook endpoint lacks a member that is relied upon.") from fault
