"""What the operators' routes share: the means they work with, and how a noun's routes are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from billing.http import app
from billing.http.app import Admin
from billing.http.exchange import Request, Response
from billing.http.operations import Asked, Operation
from billing.payments.client import StripeClient
from billing.runtime.aws import AwsClient
from billing.usecases import once
from billing.usecases.inspect_deployment import StripeSecrets
from billing.usecases.operator import Operator
from billing.usecases.publish_outbox import Publisher

ALL = "*"
"""The scope of operators' Idempotency-Keys: no project can be called that."""


@dataclass(frozen=True, slots=True)
class Desk:
    """`stripe` gives the client of the key as it is now; the queues are those of the event worker.

    `played`: a double plays Stripe.
    """

    publisher: Publisher
    stripe: Callable[[], StripeClient]
    livemode: bool
    now: Callable[[], datetime]
    sqs: AwsClient
    queue_url: str
    dead_letter_queue_url: str
    secrets: StripeSecrets
    played: bool = False
    stage: str = "local"

    @property
    def database_url(self) -> str:
        return self.publisher.database_url


@dataclass(frozen=True, slots=True)
class Call:
    """One checked request of an operator. `left` is the time this invocation still has, in seconds."""

    request: Request
    operation: Operation
    admin: Admin
    asked: Asked
    left: Callable[[], float]

    @property
    def operator(self) -> Operator:
        return Operator(self.admin.name, self.admin.key_id, self.request.request_id)

    def once(self) -> once.Request:
        """The write as its Idempotency-Key knows it: of this route, with this path and body."""
        said: Mapping[str, object] = {"path": dict(self.asked.path), "body": self.asked.document}
        if self.asked.query is not None:
            said = {**said, "query": self.asked.query.model_dump(mode="json")}
        return once.Request(ALL, self.operation.route, app.idempotency_key(self.request), app.digest_of(said))


Serve = Callable[[Desk, Call], Response]
Routes = tuple[tuple[Operation, Serve], ...]


def answered(call: Call, body: BaseModel | str, *, status: int | None = None, replayed: bool = False) -> Response:
    """The answer of the operation's status, never to be cached."""
    headers = {"cache-control": "no-store"}
    if replayed:
        headers["idempotent-replayed"] = "true"
    text = body if isinstance(body, str) else body.model_dump_json()
    notes = {"key_id": call.admin.key_id, "replayed": replayed}
    return Response(status or call.operation.status, text, headers, notes)
