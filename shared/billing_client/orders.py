"""What can be ordered at a checkout (`POST /api/v1/checkout`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Required, TypedDict


class LineItem(TypedDict, total=False):
    """One of `price` and `lookup_key`; `quantity` is 1 where left out."""

    price: str
    lookup_key: str
    quantity: int


class Order(TypedDict, total=False):
    """Exactly one of `lookup_key`, `price` and `line_items`; `quantity` (seats) with the first two.

    The URLs have one of the project's allowed origins; Stripe puts the session's id in place of
    `{CHECKOUT_SESSION_ID}`. `trial_days`: 0 for none, left out for the price's own. `email`: where receipts go.
    """

    success_url: Required[str]
    cancel_url: Required[str]
    lookup_key: str
    price: str
    line_items: Sequence[LineItem]
    quantity: int
    email: str
    trial_days: int
    promotion_code: str
    allow_promotion_codes: bool
    allow_multiple: bool
