"""The Stripe double as a whole: `with StripeDouble() as double:` serves on a free port of the loopback interface."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.control import Control
from infra.local.stripe_double.delivery import Deliveries
from infra.local.stripe_double.server import Server


class StripeDouble:
    """A running double; stops at the end of the `with` block.

    port: 0 takes a free one. seed: the same ids each time. state_file: what survives a restart. workers: how many
    threads deliver events (one keeps them in order). `url` is the API's address, `control` what tests can do to it.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int | None = None,
        state_file: Path | None = None,
        workers: int = 1,
    ) -> None:
        self._account = Account(seed=seed, state_file=state_file)
        self._deliveries = Deliveries(self._account, workers=workers)
        self.control = Control(self._account, self._deliveries)
        self._server = Server((host, port), self._account, self.control)
        self._account.url = self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="stripe-double")

    def __enter__(self) -> Self:
        self._thread.start()
        self._deliveries.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()
        self._deliveries.stop()
        self._account.close()
