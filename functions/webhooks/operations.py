"""What Stripe sends.

The handler never imports this: contract tests hold the two together.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from billing.http.operations import Operation
from billing.http.schemas import Body


class StripeEvent(Body):
    """A Stripe event of the endpoint's API version. Nothing of it is looked at before its signature fits."""

    model_config = ConfigDict(extra="allow")


class Received(BaseModel):
    """The event is durable: Stripe need not send it again."""

    received: Literal[True]


ACCEPT = Operation(
    "POST",
    "/api/v1/webhooks/stripe",
    "acceptStripeEvent",
    "Take an event from Stripe",
    Received,
    body=StripeEvent,
    opens="stripe",
)
OPERATIONS = (ACCEPT,)
