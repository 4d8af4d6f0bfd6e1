"""A whole shop without HTTP: a project with a catalog in the store and in the Stripe double, and the worker's code."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from stripe import StripeClient

from billing.domain.answers import check_answer
from billing.payments.client import connect
from billing.runtime.aws import DYNAMODB, EVENTBRIDGE, AwsClient
from billing.store.connection import close, transaction
from billing.store.snapshots import snapshot_of
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.apply_event import Outcome, Worker, apply_event
from billing.usecases.catalog_document import CatalogDocument
from billing.usecases.ensure_customer import ensure_customer
from billing.usecases.manage_projects import create_project
from billing.usecases.publish_outbox import Publisher
from infra.local.stripe_double.double import StripeDouble

CATALOG = CatalogDocument.model_validate(
    {
        "features": [
            {"code": "export", "type": "boolean"},
            {"code": "seats", "type": "limit", "merge": "sum"},
            {"code": "badge", "type": "boolean"},
        ],
        "products": [
            {
                "key": "pro",
                "name": "Pro",
                "benefits": [{"feature": "export"}, {"feature": "seats", "value": 1, "per_unit": True}],
                "prices": [
                    {"lookup_key": "pro_monthly", "currency": "usd", "unit_amount": 900, "interval": "month"},
                    {"lookup_key": "pro_yearly", "currency": "usd", "unit_amount": 9000, "interval": "year"},
                ],
            },
            {
                "key": "badge",
                "name": "Badge",
                "benefits": [{"feature": "badge"}],
                "prices": [{"lookup_key": "badge", "currency": "usd", "unit_amount": 500}],
            },
        ],
    }
)


@dataclass(frozen=True)
class Shop:
    """Project `notes`. Users buy in the double; events are applied by hand, in whatever order a test likes."""

    double: StripeDouble
    worker: Worker

    @property
    def stripe(self) -> StripeClient:
        return self.worker.stripe

    def beside(self, database_url: str) -> "Shop":
        """The same shop and the same Stripe over another, empty database."""
        return open_shop(self.double, replace(self.worker.publisher, database_url=database_url))

    @contextmanager
    def own_worker(self) -> Iterator[Worker]:
        """A worker for this thread: a process has one connection to each part, and no two threads share it."""
        kept = self.worker.publisher
        aws = AwsClient(DYNAMODB, 2, kept.cache.aws.environ)
        bus = AwsClient(EVENTBRIDGE, 2, kept.cache.aws.environ)
        own = replace(kept, cache=kept.cache._replace(aws=aws), bus=replace(kept.bus, client=bus))
        try:
            yield replace(self.worker, publisher=own)
        finally:
            aws.close()
            bus.close()
            close(kept.database_url)

    def price(self, lookup_key: str) -> str:
        return self.stripe.v1.prices.list({"lookup_keys": [lookup_key]}).data[0].id

    def customer(self, user_id: str) -> str:
        """The user's Stripe customer, made as a checkout makes it."""
        return ensure_customer(self.worker.database_url, self.stripe, "notes", user_id).stripe_id

    def open(self, user_id: str, lookup_key: str, quantity: int = 1, **more: Any) -> str:
        """A checkout session, not paid yet."""
        mode = "payment" if lookup_key == "badge" else "subscription"
        params = {
            "mode": mode,
            "customer": self.customer(user_id),
            "line_items": [{"price": self.price(lookup_key), "quantity": quantity}],
            "success_url": "https://notes.example/done",
            **more,
        }
        return self.stripe.v1.checkout.sessions.create(params).id  # type: ignore[arg-type]

    def buy(self, user_id: str, lookup_key: str, quantity: int = 1) -> str:
        """Pay a checkout on the hosted page. Returns the subscription's id, or the session's for a one-time price."""
        session_id = self.open(user_id, lookup_key, quantity)
        self.double.control.pay_checkout(session_id)
        subscription = self.stripe.v1.checkout.sessions.retrieve(session_id).subscription
        return str(subscription or session_id)

    def events(self) -> list[bytes]:
        """Every event so far, oldest first."""
        listed = self.stripe.v1.events.list({"limit": 100})
        bodies = [json.dumps(event.to_dict(for_json=True)).encode() for event in listed.auto_paging_iter()]
        return bodies[::-1]

    def apply(self, bodies: Iterable[bytes]) -> list[Outcome]:
        return [apply_event(self.worker, body) for body in bodies]

    def check(self, user_id: str, feature: str, at: datetime | None = None) -> dict[str, Any]:
        """The answer by the store, at the double's present."""
        now = at or datetime.fromtimestamp(self.double.control.clock()["now"], UTC)
        with transaction(self.worker.database_url) as connection:
            snapshot = snapshot_of(connection, "notes", user_id)
        assert snapshot is not None
        return check_answer(snapshot, feature, now)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with transaction(self.worker.database_url) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def digest(self) -> object:
        """The state that events lead to: all but watermarks, revisions, versions and evidence."""
        return [
            self.rows(
                "SELECT id, stripe_customer_id, status, start_at, trial_end, cancel_at, cancel_at_period_end,"
                " canceled_at, ended_at, latest_invoice_id FROM subscriptions ORDER BY id"
            ),
            self.rows("SELECT * FROM subscription_items ORDER BY id"),
            self.rows("SELECT id, subscription_id, first_failed_at, paid_at FROM invoices ORDER BY id"),
            self.rows("SELECT session_id, line_item_id, price_id, quantity, paid_at FROM purchases ORDER BY 1, 2"),
            self.rows(
                "SELECT k.id, c.user_id, k.deleted_at FROM stripe_customers k JOIN customers c ON c.id = k.customer_id"
                " ORDER BY k.id"
            ),
            self.rows("SELECT id, name, active, deleted FROM products ORDER BY id"),
            self.rows("SELECT id, lookup_key, active, deleted FROM prices ORDER BY id"),
            [
                (user_id, [{k: v for k, v in holding.items() if k != "event"} for holding in holdings])
                for user_id, holdings in self.rows("SELECT user_id, holdings FROM customers ORDER BY user_id")
            ],
        ]


def open_shop(double: StripeDouble, publisher: Publisher) -> Shop:
    """The shop with its catalog applied; what Stripe has of it already is found."""
    shop = empty_shop(double, publisher)
    apply_catalog(publisher, shop.stripe, "notes", CATALOG, shop.worker.now)
    return shop


def empty_shop(double: StripeDouble, publisher: Publisher) -> Shop:
    """Only the project. The worker's clock is the double's."""

    def now() -> datetime:
        return datetime.fromtimestamp(double.control.clock()["now"], UTC)

    create_project(publisher.database_url, project_id="notes", name="Notes", allowed_origins=["https://notes.example"])
    return Shop(double, Worker(connect("sk_test_shop", double.url), publisher, livemode=False, now=now))
