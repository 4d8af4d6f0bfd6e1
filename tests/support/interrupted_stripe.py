"""Stripe, with something happening between its answer to a question and our receiving it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from stripe import StripeClient

from billing.usecases.apply_event import Worker


class InterruptedStripe:
    """Asks the real client; after its first answer about `path`, or `always`, runs `meanwhile`.

    `asked` counts those questions.
    """

    def __init__(
        self, stripe: StripeClient, path: str, meanwhile: Callable[[], object], *, always: bool = False
    ) -> None:
        self._stripe = stripe
        self._path = path
        self._meanwhile = meanwhile
        self._always = always
        self.asked = 0

    def raw_request(self, method: str, path: str, **params: Any) -> Any:
        answer = self._stripe.raw_request(method, path, **params)
        if self._path in path:
            self.asked += 1
            if self.asked == 1 or self._always:
                self._meanwhile()
        return answer

    def of(self, worker: Worker) -> Worker:
        """The worker, asking this Stripe."""
        return replace(worker, stripe=cast("StripeClient", self))
