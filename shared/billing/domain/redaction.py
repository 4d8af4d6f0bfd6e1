"""What operators may see of an event's body: its structure, ids, types, statuses, amounts and instants, nothing else.

Only what is known to say nothing about a person is kept (SPEC §3 inbox); every other text or number is `[redacted]`,
and with it whatever Stripe adds later.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

REDACTED = "[redacted]"

LARGEST = 2_000_000
"""Bytes of a body that are shown, redacted; of a larger one only its size and digest."""

_DEEPEST = 40

_ID = re.compile(
    r"(?:acct|ba|bpc|bps|card|ch|cn|cnli|cs_live|cs_test|cus|di|dp|du|evt|fee|feat|feat_test|file|fr|ii|il|in|inpay|ipi|li"
    r"|mandate|pi|plink|pm|pmc|po|price|prod|promo|py|pyr|qt|re|req|seti|setatt|si|src|sub|sub_sched|tok|tr|trr|txi|txn"
    r"|txr|we)_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,255}"
)
_OUR_ID = re.compile(r"[a-z][a-z0-9-]{0,62}_[a-z0-9_-]{1,100}")  # a project's id and a product's key
_WORD = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(?:\.[a-z]{1,20})?")
_DECIMAL = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?")
_MEMBER = re.compile(r"[a-z][a-z0-9_]{0,63}")

# Members whose text is one of Stripe's own words.
_WORDS = re.compile(
    "allowed_payment_method_types|behavior|billing_reason|billing_scheme|cancellation_reason|capture_method"
    "|collection_method|confirmation_method|currency|decline_code|default_currency|duration|end_behavior|failure_code"
    "|failure_reason|feedback|funding_type|interval|missing_payment_method|mode|network_status|object|payment_behavior"
    "|payment_method_types|payment_status|pending_reason|presentment_currency|price_type|proration_behavior|reason"
    "|risk_level|save_default_payment_method|setup_future_usage|status|tax_behavior|tiers_mode|type|ui_mode|usage_type"
)
# Words in a member's name that make its number an amount, a count or an instant. Not `day`, `month`, `year`: birthdays.
_MEASURE = re.compile(
    "(?:[a-z0-9_]*_)?"
    "(?:amount|anchor|at|attempts?|balance|count|created|days|due|end|expires|fee|net|off|overpaid|paid|percentage|period"
    "|quantity|refunded|remaining|start|subtotal|total|until|up|updated|webhooks)"
    "(?:_[a-z0-9_]*)?"
)
# Members of these objects are named by whoever wrote them.
_FREE = re.compile(r"(?:.*_)?metadata")
_OF_CATALOG = frozenset({"product", "coupon"})


@dataclass(frozen=True, slots=True)
class Payload:
    """A body as operators see it. `document` is None where it is no JSON object, or too large to be shown."""

    size: int
    sha256: str
    document: dict[str, Any] | None


def payload_of(body: bytes) -> Payload:
    """The redacted body, whatever its bytes are."""
    return Payload(len(body), hashlib.sha256(body).hexdigest(), _document(body) if len(body) <= LARGEST else None)


def redacted(document: dict[str, Any]) -> dict[str, Any]:
    """The same structure, with everything that could tell of a person replaced."""
    return _members(document, 0)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    return redacted(document) if isinstance(document, dict) else None


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _members(document: dict[str, Any], depth: int) -> dict[str, Any]:
    kind = document.get("object")
    of_catalog = isinstance(kind, str) and kind in _OF_CATALOG
    return {
        name: _kept("product" if of_catalog and member == "id" else member, value, depth)
        for name, (member, value) in zip(_names(document), document.items(), strict=True)
    }


def _names(document: dict[str, Any]) -> Iterator[str]:
    """A member's name is kept if it can be one of Stripe's; the others are numbered, so that none is lost."""
    hidden = 0
    for member in document:
        if _MEMBER.fullmatch(member):
            yield member
        else:
            hidden += 1
            yield f"{REDACTED} {hidden}"


def _kept(member: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if depth >= _DEEPEST or _FREE.fullmatch(member):
        return value if value in ({}, [], "") else REDACTED
    if isinstance(value, dict):
        return _members(value, depth + 1)
    if isinstance(value, list):
        return [_kept(member, row, depth + 1) for row in value]
    if isinstance(value, str):
        return value if _is_harmless(member, value) else REDACTED
    measure = _MEASURE.fullmatch(member) and isinstance(value, int | float) and math.isfinite(value)
    return value if measure else REDACTED


def _is_harmless(member: str, text: str) -> bool:
    if not text or _ID.fullmatch(text):
        return True
    if _WORDS.fullmatch(member):
        return bool(_WORD.fullmatch(text))
    if member in _OF_CATALOG:
        return bool(_OUR_ID.fullmatch(text))
    if member == "api_version":
        return bool(_VERSION.fullmatch(text))
    return member.endswith("_decimal") and bool(_DECIMAL.fullmatch(text))
