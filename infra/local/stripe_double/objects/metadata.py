"""Metadata as Stripe updates it: key by key, an empty value unsets."""

from typing import Any

from infra.local.stripe_double.params import Params


def merged(before: dict[str, str] | None, params: Params) -> dict[str, str]:
    """The metadata after a request: `metadata=""` clears all, `metadata[key]=""` one."""
    given: Any = params.get("metadata", {})
    if given == "":
        return {}
    return {key: value for key, value in {**(before or {}), **given}.items() if value != ""}
