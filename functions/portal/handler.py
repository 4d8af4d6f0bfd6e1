"""POST /api/v1/portal opens Stripe's customer portal for a project's user."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from billing.http import app
from billing.http.app import Caller
from billing.http.exchange import Request, Response
from billing.http.operations import asked, of
from billing.http.schemas import PortalBody
from billing.payments import client as payments
from billing.payments.client import StripeClient
from billing.runtime.aws import SECRETS_MANAGER, AwsClient
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import load
from billing.usecases import once
from billing.usecases.open_portal import Visit, open_portal
from billing.usecases.price_order import Seller
from functions.portal.operations import OPEN

TIMEOUT = 3.0
"""Seconds for reading the Stripe key: a person waits."""


class Settings(NamedTuple):
    database_url: str
    stripe_api_key_secret_id: str
    stripe_api_base: str | None = None
    log_level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Desk:
    """What the portal's door needs."""

    database_url: str
    stripe: Callable[[], StripeClient]
    now: Callable[[], datetime]


def build(environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Handle:
    """The handler. Opens no connection: the first request does. Raises BadSettings."""
    settings = load(Settings, environ)
    secret = Secret(AwsClient(SECRETS_MANAGER, TIMEOUT, environ), settings.stripe_api_key_secret_id)
    desk = Desk(settings.database_url, lambda: payments.current(secret, settings.stripe_api_base), now)
    return front(desk, Log("portal", settings.log_level))


def front(desk: Desk, log: Log) -> Handle:
    return app.application(
        desk.database_url, log, desk.now, {OPEN.route: lambda request, caller: _open(desk, request, caller)}
    )


def _open(desk: Desk, request: Request, caller: Caller) -> Response:
    said = asked(OPEN, request)
    body = of(PortalBody, said.body)
    outcome = open_portal(
        desk.database_url,
        desk.stripe(),
        Seller(caller.project_id, caller.namespace, caller.allowed_origins),
        once.Request(caller.project_id, OPEN.route, app.idempotency_key(request), app.digest_of(said.document)),
        Visit(body.user_id, body.return_url, body.project_id),
        desk.now,
    )
    return app.answered(outcome.status, outcome.body, caller, replayed=outcome.replayed)


lambda_handler = entrypoint(build)
