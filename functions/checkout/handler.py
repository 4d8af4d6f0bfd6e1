"""POST /api/v1/checkout opens a hosted checkout; POST /api/v1/checkout/{session_id}/sync applies its outcome now.

GET /api/v1/catalog says what there is to sell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from billing.cache import client as cache
from billing.http import app
from billing.http.app import Caller
from billing.http.exchange import Request, Response
from billing.http.operations import asked, of
from billing.http.schemas import CheckoutBody, lines_of
from billing.messages.bus import Bus
from billing.payments import client as payments
from billing.payments.client import StripeClient
from billing.runtime.aws import EVENTBRIDGE, SECRETS_MANAGER, AwsClient
from billing.runtime.entrypoint import Handle, entrypoint
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import load
from billing.store.catalog_state import state_of
from billing.store.connection import transaction
from billing.usecases import once
from billing.usecases.apply_event import Worker
from billing.usecases.open_checkout import open_checkout
from billing.usecases.price_order import Seller, Wanted, WantedLine
from billing.usecases.publish_outbox import Publisher
from billing.usecases.sync_checkout import sync_checkout
from functions.checkout.catalog import CatalogAnswer
from functions.checkout.operations import CATALOG, OPEN, SYNC, SyncAnswer

TIMEOUT = 3.0
"""Seconds for a call to Secrets Manager or EventBridge: a person waits."""


class Settings(NamedTuple):
    database_url: str
    table_name: str
    event_bus_name: str
    stripe_api_key_secret_id: str
    stripe_livemode: bool
    stripe_api_base: str | None = None
    log_level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Counter:
    """What selling needs. `stripe` gives the client of the key as it is now."""

    publisher: Publisher
    stripe: Callable[[], StripeClient]
    livemode: bool
    now: Callable[[], datetime]


def build(environ: Mapping[str, str] = os.environ, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Handle:
    """The handler. Opens no connection: the first request does. Raises BadSettings."""
    settings = load(Settings, environ)
    secret = Secret(AwsClient(SECRETS_MANAGER, TIMEOUT, environ), settings.stripe_api_key_secret_id)
    bus = Bus(AwsClient(EVENTBRIDGE, TIMEOUT, environ), settings.event_bus_name)
    counter = Counter(
        Publisher(settings.database_url, cache.connect(settings.table_name, environ=environ), bus),
        lambda: payments.current(secret, settings.stripe_api_base),
        settings.stripe_livemode,
        now,
    )
    return front(counter, Log("checkout", settings.log_level))


def front(counter: Counter, log: Log) -> Handle:
    routes = {
        OPEN.route: lambda request, caller: _open(counter, request, caller),
        SYNC.route: lambda request, caller: _sync(counter, request, caller),
        CATALOG.route: lambda _, caller: _catalog(counter, caller),
    }
    return app.application(counter.publisher.database_url, log, counter.now, routes)


def _open(counter: Counter, request: Request, caller: Caller) -> Response:
    said = asked(OPEN, request)
    outcome = open_checkout(
        counter.publisher.database_url,
        counter.stripe(),
        Seller(caller.project_id, caller.namespace, caller.allowed_origins),
        once.Request(caller.project_id, OPEN.route, app.idempotency_key(request), app.digest_of(said.document)),
        _wanted(of(CheckoutBody, said.body)),
        counter.now,
    )
    return app.answered(outcome.status, outcome.body, caller, replayed=outcome.replayed)


def _wanted(body: CheckoutBody) -> Wanted:
    return Wanted(
        user_id=body.user_id,
        lines=tuple(WantedLine(*line) for line in lines_of(body)),
        success_url=body.success_url,
        cancel_url=body.cancel_url,
        email=body.email,
        trial_days=body.trial_days,
        promotion_code=body.promotion_code,
        allow_promotion_codes=body.allow_promotion_codes,
        allow_multiple=body.allow_multiple,
    )


def _sync(counter: Counter, request: Request, caller: Caller) -> Response:
    worker = Worker(counter.stripe(), counter.publisher, counter.livemode, counter.now)
    synced = sync_checkout(worker, caller.project_id, app.path_parameter(request, "session_id"))
    body = SyncAnswer(
        session_id=synced.session_id,
        status=synced.status,
        payment_status="paid" if synced.paid else "unpaid",
        entitlements_version=synced.entitlements_version,
    )
    return app.answered(SYNC.status, body.model_dump_json(), caller)


def _catalog(counter: Counter, caller: Caller) -> Response:
    with transaction(counter.publisher.database_url) as connection:
        state = state_of(connection, caller.project_id)
    return app.answered(200, CatalogAnswer.of(caller.project_id, state).model_dump_json(), caller)


lambda_handler = entrypoint(build)
