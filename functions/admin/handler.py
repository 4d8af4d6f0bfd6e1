"""The operators' routes, one module a noun; and the first admin key, for whoever may invoke this function directly."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from billing.cache import client as cache
from billing.http.app import admin_of, no_route
from billing.http.exchange import Request, Response, serve
from billing.http.operations import asked
from billing.messages.bus import Bus
from billing.payments import client as payments
from billing.runtime.aws import EVENTBRIDGE, SECRETS_MANAGER, SQS, AwsClient
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import load
from billing.usecases.inspect_deployment import StripeSecrets
from billing.usecases.publish_outbox import Publisher
from functions.admin import (
    audit,
    bootstrap,
    catalog,
    catalog_lists,
    customers,
    deployment,
    events,
    grants,
    keys,
    metrics,
    projects,
    rebuilds,
    replays,
    runs,
    scrape,
)
from functions.admin.desk import Call, Desk, Routes

TIMEOUT = 3.0
"""Seconds for a call to Secrets Manager, SQS or EventBridge: a person waits."""

ROUTES: Routes = (
    *projects.ROUTES,
    *keys.ROUTES,
    *catalog.ROUTES,
    *catalog_lists.ROUTES,
    *grants.ROUTES,
    *audit.ROUTES,
    *events.ROUTES,
    *replays.ROUTES,
    *customers.ROUTES,
    *metrics.ROUTES,
    *runs.ROUTES,
    *rebuilds.ROUTES,
    *deployment.ROUTES,
    *scrape.ROUTES,
)


class Settings(NamedTuple):
    database_url: str
    table_name: str
    event_bus_name: str
    queue_url: str
    dead_letter_queue_url: str
    stripe_api_key_secret_id: str
    stripe_webhook_secret_id: str
    stripe_livemode: bool
    stripe_api_base: str | None = None
    log_level: str = "INFO"
    stage: str = "local"


def build(environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Handle:
    """The handler. Opens no connection: the first request does. Raises BadSettings."""
    settings = load(Settings, environ)
    manager = AwsClient(SECRETS_MANAGER, TIMEOUT, environ)
    secret = Secret(manager, settings.stripe_api_key_secret_id)
    bus = Bus(AwsClient(EVENTBRIDGE, TIMEOUT, environ), settings.event_bus_name)
    desk = Desk(
        Publisher(settings.database_url, cache.connect(settings.table_name, environ=environ), bus),
        lambda: payments.current(secret, settings.stripe_api_base),
        settings.stripe_livemode,
        now,
        AwsClient(SQS, TIMEOUT, environ),
        settings.queue_url,
        settings.dead_letter_queue_url,
        StripeSecrets(secret, Secret(manager, settings.stripe_webhook_secret_id)),
        played=settings.stripe_api_base is not None,
        stage=settings.stage,
    )
    return front(desk, Log("admin", settings.log_level))


def front(desk: Desk, log: Log) -> Handle:
    by_name = {operation.route: (operation, respond) for operation, respond in ROUTES}

    def answer(request: Request, left: Callable[[], float]) -> Response:
        found = by_name.get(f"{request.method} {request.route}")
        if found is None:
            raise no_route(request, by_name)
        operation, respond = found
        admin = admin_of(desk.database_url, request, desk.now())
        return respond(desk, Call(request, operation, admin, asked(operation, request), left))

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if bootstrap.MEMBER in event:
            return bootstrap.first_key(desk, event[bootstrap.MEMBER], log, context)
        return serve(event, context, log, lambda request: answer(request, lambda: _seconds_left(context)))

    return handle


def _seconds_left(context: Any) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000


lambda_handler = entrypoint(build)
