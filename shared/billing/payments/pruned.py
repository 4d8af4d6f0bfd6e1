"""Of the lists that grow with the customers only the members that are read are made into objects.

A page of a hundred subscriptions is 290 kB, of which the readers want a thirtieth. What is left out here is never seen
by them (`events.read_subscription`, `events.read_customer`): whoever reads another member names it here too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

import msgspec

from billing.payments.transport import Decode


# The values' types are the readers' business, who name what is wrong: here they may be anything.
class _Price(TypedDict, total=False):
    id: Any
    product: Any


class _Item(TypedDict, total=False):
    id: Any
    price: _Price
    quantity: Any
    current_period_start: Any
    current_period_end: Any
    discounts: Any


class _Items(TypedDict, total=False):
    data: list[_Item]
    has_more: Any


class _Subscription(TypedDict, total=False):
    id: Any
    created: Any
    customer: Any
    status: Any
    start_date: Any
    trial_end: Any
    cancel_at: Any
    cancel_at_period_end: Any
    canceled_at: Any
    ended_at: Any
    latest_invoice: Any
    currency: Any
    discounts: Any
    items: _Items


class _Subscriptions(TypedDict, total=False):
    data: list[_Subscription]
    has_more: Any


class _Customer(TypedDict, total=False):
    id: Any
    created: Any
    deleted: Any
    metadata: Any


class _Customers(TypedDict, total=False):
    data: list[_Customer]
    has_more: Any


def _pruned(shape: Any) -> Decode:
    decoder = msgspec.json.Decoder(shape)

    def decode(body: str | bytes) -> Any:
        """A page in another shape is read whole, so that the readers say what is wrong with it. Raises ValueError."""
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return json.loads(body)

    return decode


PRUNED: Mapping[str, Decode] = {"subscription": _pruned(_Subscriptions), "customer": _pruned(_Customers)}
"""By kind: from the body of a page to what is read of it. Of all other kinds whole pages are read."""
