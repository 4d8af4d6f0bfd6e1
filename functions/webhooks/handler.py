"""POST /api/v1/webhooks/stripe: verify, queue, 200. No database, nothing parsed before the signature fits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from billing.errors import Refused
from billing.http.exchange import Request, Response, refused, serve
from billing.payments.signature import BadSignature
from billing.runtime.aws import SECRETS_MANAGER, SQS, AwsClient
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import load
from billing.usecases.accept_event import Ingress, accept_event, signing_secrets

TIMEOUT = 3.0
"""Seconds for reading the secret, and for queueing: Stripe wants its answer soon and comes again without one."""


class Settings(NamedTuple):
    queue_url: str
    stripe_webhook_secret_id: str
    log_level: str = "INFO"
    stage: str = "local"


def build(
    environ: Mapping[str, str] = os.environ,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
) -> Handle:
    """The handler. Raises BadSettings where a setting or the signing secret is missing: no unverified cold start."""
    settings = load(Settings, environ)
    log = Log("webhooks", settings.log_level, stage=settings.stage)
    secret = Secret(AwsClient(SECRETS_MANAGER, TIMEOUT, environ), settings.stripe_webhook_secret_id, monotonic)
    signing_secrets(secret.read())
    ingress = Ingress(secret, AwsClient(SQS, TIMEOUT, environ), settings.queue_url)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return serve(event, context, log, lambda request: _accept(ingress, request, now()))

    return handle


def _accept(ingress: Ingress, request: Request, now: datetime) -> Response:
    try:
        accept_event(ingress, _body(request), request.header("stripe-signature") or "", now)
    except BadSignature as error:
        return refused(error, request.request_id, {"EventAccepted": 0, "BadSignature": 1})
    return Response(200, '{"received":true}', counts={"EventAccepted": 1, "BadSignature": 0})


def _body(request: Request) -> bytes:
    try:
        return request.body()
    except Refused as fault:
        raise BadSignature from fault


lambda_handler = entrypoint(build)
