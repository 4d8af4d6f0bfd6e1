"""The signing secrets of Stripe's webhook endpoints as they are stored, oldest first, two while they rotate:
`{"secrets": ["whsec_…"], "endpoints": ["we_…"]}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

MAX_SECRETS = 2
"""More than two are a rotation begun before the last one ended."""

PLACEHOLDER = "placeholder"
"""Member of what a deployment stores at first: random, and nobody's secret. No delivery fits it, so all are refused."""

_PREFIX = "whsec_"
_SHORTEST_PLACEHOLDER = 24


class Signing(NamedTuple):
    """One live secret, and the `webhook_endpoint` it is of; None where a person stored it without saying."""

    secret: str
    endpoint_id: str | None = None

    def __repr__(self) -> str:
        return f"Signing(…, {self.endpoint_id!r})"


def signings_of(value: Mapping[str, object]) -> tuple[Signing, ...] | None:
    """Those in the stored JSON; none before the first is stored. None where it is not as it must be."""
    secrets, endpoints = value.get("secrets"), value.get("endpoints")
    if not isinstance(secrets, list) or len(secrets) > MAX_SECRETS or not all(map(_is_secret, secrets)):
        return None
    ids = endpoints if isinstance(endpoints, list) and len(endpoints) == len(secrets) else [None] * len(secrets)
    return tuple(
        Signing(secret, each if isinstance(each, str) else None) for secret, each in zip(secrets, ids, strict=True)
    )


def placeholder_of(value: Mapping[str, object]) -> str | None:
    """What stands in for the secrets before the first is stored; None where a deployment has put nothing there."""
    text = value.get(PLACEHOLDER)
    return _PREFIX + text if isinstance(text, str) and len(text) >= _SHORTEST_PLACEHOLDER else None


def stored(signings: Sequence[Signing]) -> dict[str, object]:
    """The JSON to store."""
    return {"secrets": [each.secret for each in signings], "endpoints": [each.endpoint_id for each in signings]}


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_PREFIX) and value != _PREFIX
