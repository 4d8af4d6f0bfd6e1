"""A Stripe client whose process dies at a chosen question: before Stripe hears it, or before the answer is heard."""

from collections.abc import Callable
from typing import Any, Literal

import stripe

from billing.payments.client import API_VERSION
from billing.payments.transport import Client, Transport
from infra.local.stripe_double.double import StripeDouble

Moment = Literal["before", "after"]


class Died(BaseException):
    """The process is gone: no `except Exception` of ours runs any more."""


class _Line(Transport):
    """Runs `meanwhile` at the question of this number, counted from 1."""

    def __init__(self, api_base: str, number: int, moment: Moment, meanwhile: Callable[[], None]) -> None:
        super().__init__(api_base, (10, 10))
        self._left, self._moment, self._meanwhile = number, moment, meanwhile

    def request(self, *asked: Any, **named: Any) -> Any:
        self._left -= 1
        if self._left == 0 and self._moment == "before":
            self._meanwhile()
        answer = super().request(*asked, **named)
        if self._left == 0 and self._moment == "after":
            self._meanwhile()
        return answer


def interrupted(
    double: StripeDouble, number: int, moment: Moment, meanwhile: Callable[[], None]
) -> stripe.StripeClient:
    """A client that runs `meanwhile` around its question of this number."""
    line = _Line(double.url, number, moment, meanwhile)
    return Client("sk_test_shop", API_VERSION, double.url, line, retries=2)


def dying(double: StripeDouble, number: int, moment: Moment) -> stripe.StripeClient:
    def die() -> None:
        raise Died

    return interrupted(double, number, moment, die)
