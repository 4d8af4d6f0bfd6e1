"""Where a request carries its API key: `Authorization: Bearer <key>`, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from billing.domain.keys import well_formed
from billing.errors import Refused

_HOW = "Send the header `Authorization: Bearer <key>` once, with the whole key as it was shown."


def bearer(values: Sequence[str]) -> str:
    """The well-formed key among an `Authorization` header's values. Raises Refused (`invalid_api_key`) without I/O."""
    if len(values) != 1:
        raise Refused("invalid_api_key", _HOW)
    scheme, _, key = values[0].partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not well_formed(key):
        raise Refused("invalid_api_key", _HOW)
    return key
