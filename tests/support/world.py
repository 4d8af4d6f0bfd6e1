"""A project with a small catalog in a real store, made by the store's own functions: no Stripe needed."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.domain import keys
from billing.domain.catalog import Benefit, Feature, PricePolicy
from billing.domain.facts import ItemFact, PriceFact, ProductFact, SubscriptionFact
from billing.store import catalog, customers, holdings, outbox, projects, subscriptions
from billing.store import keys as stored_keys
from billing.store.connection import transaction

START = datetime(2026, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=31)


@dataclass(frozen=True)
class World:
    """Project `notes` sells `prod_pro` at `price_pro` (features export, seats); users are made on first use."""

    database_url: str
    project_id: str = "notes"

    def key(self, expires_at: datetime | None = None) -> str:
        """A new key of the project."""
        secret = keys.mint("test", self.project_id, secrets.token_bytes(32))
        with transaction(self.database_url) as connection:
            stored_keys.insert_key(
                connection,
                key_id=f"key_{secrets.token_hex(4)}",
                digest=keys.digest(secret),
                role="project",
                project_id=self.project_id,
                name="test",
                mode="test",
                expires_at=expires_at,
            )
        return secret

    def customer(self, user_id: str) -> int:
        """Our id of the user's customer, linked to the Stripe customer `cus_<user_id>`."""
        with transaction(self.database_url) as connection:
            customer = customers.ensure(connection, self.project_id, user_id)
            customers.lock(connection, customer.id)
            customers.link(connection, customer.id, f"cus_{user_id}")
        return customer.id

    def subscribe(
        self, user_id: str, *, status: str = "active", quantity: int = 1, start: datetime = START, now: datetime = START
    ) -> int:
        """Store a month of pro, unpublished: the outbox owes it. Returns our customer id."""
        customer_id = self.customer(user_id)
        item = ItemFact(f"si_{user_id}", "price_pro", "prod_pro", quantity, start, start + MONTH)
        fact = SubscriptionFact(
            f"sub_{user_id}", f"cus_{user_id}", status, start, None, None, False, None, None, None, (item,)
        )
        with transaction(self.database_url) as connection:
            customers.lock(connection, customer_id)
            subscriptions.store_subscription(connection, fact, watermark=1, evidence="evt_1")
            holdings.record_change(connection, customer_id, cause_kind="event", cause_id="evt_1", now=now)
        return customer_id

    def deny(self, user_id: str, feature: str, *, now: datetime = START) -> None:
        """An operator's denial from `now` on, unpublished."""
        customer_id = self.customer(user_id)
        with transaction(self.database_url) as connection:
            customers.lock(connection, customer_id)
            connection.execute(
                "INSERT INTO grants (id, customer_id, project_id, feature_code, denial, valid_from, reason, actor)"
                " VALUES (%s, %s, %s, %s, true, %s, 'test', 'test')",
                (f"grant_{secrets.token_hex(4)}", customer_id, self.project_id, feature, now),
            )
            holdings.record_change(connection, customer_id, cause_kind="grant", cause_id="grant", now=now)

    def give(self, feature: str, value: object) -> None:
        """Edit the catalog: pro now gives this value; unpublished."""
        with transaction(self.database_url) as connection:
            benefit = Benefit(feature, value)
            catalog.upsert_benefit(connection, self.project_id, benefit, product_id="prod_pro", price_id=None)
            projects.bump_epoch(connection, self.project_id, datetime.now(UTC))
            outbox.owe_project(connection, self.project_id, cause_kind="catalog", cause_id="test")

    def debts(self) -> int:
        with transaction(self.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM outbox").fetchone()
        return 0 if row is None else int(row[0])


def make_world(database_url: str) -> World:
    pro = ProductFact("prod_pro", "Pro", active=True)
    monthly = PriceFact(
        "price_pro", "prod_pro", "pro", "recurring", "usd", 900, "per_unit", "month", 1, "licensed", active=True
    )
    with transaction(database_url) as connection:
        projects.insert_project(
            connection,
            project_id="notes",
            name="Notes",
            namespace="notes",
            allowed_origins=["https://notes.example"],
        )
        for feature in (Feature("export", "boolean"), Feature("seats", "limit", "sum"), Feature("theme", "config")):
            catalog.upsert_feature(connection, "notes", feature, feature.code)
        catalog.insert_product(connection, "notes", pro, 1)
        catalog.upsert_price(connection, monthly, 1)
        catalog.set_policy(connection, "price_pro", PricePolicy())
        for benefit in (Benefit("export", True), Benefit("seats", 2, per_unit=True)):
            catalog.upsert_benefit(connection, "notes", benefit, product_id="prod_pro", price_id=None)
    return World(database_url)
