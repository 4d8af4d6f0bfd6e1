"""The operators' function with an admin key, asked through literal gateway events."""

import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from billing.runtime.aws import SECRETS_MANAGER, AwsClient
from billing.runtime.entrypoint import Handle
from billing.runtime.secrets import Secret
from billing.store.connection import close
from billing.usecases.inspect_deployment import StripeSecrets
from functions.entitlements import handler as entitlements
from tests.support.gateway import Answer, ask
from tests.support.shop import Shop

ResultT = TypeVar("ResultT")


def vault_of(environ: Mapping[str, str]) -> StripeSecrets:
    """Two secrets by names that are new; whoever needs one stores it."""
    manager = AwsClient(SECRETS_MANAGER, 2, environ)
    return StripeSecrets(*(Secret(manager, f"{name}-{uuid.uuid4().hex[:8]}") for name in ("api-key", "webhook")))


@dataclass(frozen=True)
class Office:
    """`key` is an admin key of the actor `ann the operator`; `log` is what the function wrote."""

    shop: Shop
    handle: Handle
    key: str
    log: io.StringIO
    queue_url: str
    dead_letter_queue_url: str
    environ: Mapping[str, str]
    vault: StripeSecrets
    """Nothing is stored in it."""

    @property
    def database_url(self) -> str:
        return self.shop.worker.database_url

    def check(self, user_id: str, feature: str, key: str, at: datetime | None = None) -> Answer:
        """What the function of checks answers to a project's key, through the real table."""
        handle = entitlements.build(self.environ, lambda: at or self.shop.worker.now())
        return ask(handle, "GET " + entitlements.CHECK, key=key, query={"user_id": user_id, "feature": feature})

    def ask(
        self,
        route: str,
        body: object = None,
        *,
        key: str | None = None,
        idempotency: str | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        **path: str,
    ) -> Answer:
        """`route` as its template, `GET /api/v1/admin/projects/{project_id}`, whose parameters are the keywords."""
        sent = dict(headers or {})
        if idempotency is not None:
            sent["Idempotency-Key"] = idempotency
        return ask(self.handle, route, body, key=self.key if key is None else key, headers=sent, query=query, path=path)

    def together(self, count: int, ask: Callable[[int], ResultT]) -> list[ResultT]:
        """So many calls on eight threads at once; each gives its thread's connection up afterwards."""

        def one(place: int) -> ResultT:
            try:
                return ask(place)
            finally:
                close(self.database_url)

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(one, range(count)))
