"""Random damage to the store and the cache, and silent change in Stripe: each is found and mended, all else stays.

DAMAGES=1000 plays a thousand; DAMAGE_SEED another game.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from billing.cache.client import batch_get
from billing.cache.item import snapshot_pk
from billing.domain import keys
from billing.store.connection import transaction
from billing.usecases.manage_runs import Wanted, open_run
from billing.usecases.operator import Operator
from billing.usecases.reconcile import Driver, work
from billing.usecases.reconcile_passes import PASSES
from tests.support.shop import Shop

DAMAGES = int(os.environ.get("DAMAGES", "48"))
SEED = int(os.environ.get("DAMAGE_SEED", "15"))
ANN = Operator("ann the operator")
USERS = tuple(f"user{number}" for number in range(10))
TABLES = (
    *("subscriptions", "subscription_items", "invoices", "purchases", "charges", "refunds", "disputes", "grants"),
    *("stripe_customers", "customers", "holdings_changes", "products", "prices", "features", "benefits", "projects"),
    *("api_keys", "mrr_changes"),
)
Row = tuple[str, str]


@dataclass
class User:
    """Has a subscription, partly refunded, and a badge that is disputed."""

    name: str
    stripe_id: str
    subscription: str
    session: str
    refund: str
    dispute: str
    charge: str
    ids: set[str] = field(default_factory=set)


@dataclass
class Lab:
    shop: Shop
    dice: random.Random
    users: list[User] = field(default_factory=list)

    def open(self) -> None:
        shop, control = self.shop, self.shop.double.control
        bought = {name: (shop.buy(name, "pro_monthly", 2), shop.buy(name, "badge")) for name in USERS}
        paid = {
            name: str(shop.stripe.v1.subscriptions.retrieve(held).latest_invoice) for name, (held, _) in bought.items()
        }
        refunds = {name: str(control.refund(invoice, amount=100)["id"]) for name, invoice in paid.items()}
        disputes = {name: str(control.open_dispute(session)["id"]) for name, (_, session) in bought.items()}
        shop.apply(shop.events())
        for name, (subscription, session) in bought.items():
            [(charge,)] = shop.rows(f"SELECT charge_id FROM refunds WHERE id = '{refunds[name]}'")  # noqa: S608
            stripe_id = shop.customer(name)
            user = User(name, stripe_id, subscription, session, refunds[name], disputes[name], charge)
            rows = shop.rows(f"SELECT id, customer_id FROM stripe_customers WHERE id = '{stripe_id}'")  # noqa: S608
            user.ids = {stripe_id, subscription, session, charge, refunds[name], disputes[name], f"({rows[0][1]},"}
            self.users.append(user)

    def run(self) -> list[tuple[str, str, str]]:
        """One run through all passes: (object type, id, what became of it) of each drift."""
        self.shop.double.control.advance_clock(advance_seconds=10)
        worker = self.shop.worker
        with transaction(worker.database_url) as connection:
            run = open_run(connection, Wanted(max_revocations=10_000), ANN, worker.now())
        driver = Driver(worker, PASSES, "lab", lambda: 1e9, _raise, calls_per_second=float("inf"))
        assert work(driver).ended == "done"
        asked = f"SELECT object_type, object_id, status FROM drifts WHERE run_id = '{run.id}' ORDER BY n"  # noqa: S608
        return [(kind, name, status) for kind, name, status in self.shop.rows(asked)]

    def rows(self) -> set[Row]:
        """Every row of the store, written out."""
        return {
            (table, row)
            for table in TABLES
            for (row,) in self.shop.rows(f"SELECT t::text FROM {table} AS t")  # noqa: S608
        }

    def items(self) -> dict[str, Any]:
        cache = self.shop.worker.publisher.cache
        return batch_get(cache, [pk_of(user) for user in self.users])

    def sql(self, statement: str) -> None:
        self.shop.rows(statement)

    def tamper(self, user: User, **members: Any) -> None:
        cache = self.shop.worker.publisher.cache
        item = {**batch_get(cache, (pk_of(user),))[pk_of(user)], **members}
        cache.aws.call("PutItem", {"TableName": cache.table, "Item": item})


def pk_of(user: User) -> str:
    return snapshot_pk(keys.tag("notes"), user.name)


def _raise(_run_id: str, _number: int, fault: Exception) -> None:
    raise fault


Damage = Callable[[Lab, User], tuple[str, str]]
"""Does it, and tells the object it is done to."""


def to_row(kind: str, name: str, *statements: str) -> Damage:
    """`{n}` is a number of at least 2 by chance, `{name}` … the user's."""

    def damage(lab: Lab, user: User) -> tuple[str, str]:
        said = {**{k: v for k, v in vars(user).items() if k != "ids"}, "n": lab.dice.randint(2, 999)}
        for statement in statements:
            lab.sql(statement.format(**said))
        return kind, name.format(**said)

    return damage


def to_cache(**members: Callable[[random.Random], Any]) -> Damage:
    def damage(lab: Lab, user: User) -> tuple[str, str]:
        lab.tamper(user, **{member: made(lab.dice) for member, made in members.items()})
        return "snapshot", pk_of(user)

    return damage


def in_silence(kind: str, attribute: str, **changes: tuple[Any, ...]) -> Damage:
    def damage(lab: Lab, user: User) -> tuple[str, str]:
        object_id = str(getattr(user, attribute))
        fields = {name: lab.dice.choice(values) for name, values in changes.items()}
        lab.shop.double.control.change_silently(object_id, fields)
        return kind, object_id

    return damage


STORE: tuple[Damage, ...] = (
    to_row("subscription", "{subscription}", "UPDATE subscriptions SET status = 'unpaid' WHERE id = '{subscription}'"),
    to_row(
        "subscription",
        "{subscription}",
        "UPDATE subscriptions SET start_at = start_at - interval '{n} s' WHERE id = '{subscription}'",
    ),
    to_row(
        "subscription",
        "{subscription}",
        "UPDATE subscription_items SET quantity = 2 + {n} WHERE subscription_id = '{subscription}'",
    ),
    to_row(
        "subscription",
        "{subscription}",
        "UPDATE subscription_items SET period_end = period_end + interval '{n} h'"
        " WHERE subscription_id = '{subscription}'",
    ),
    to_row("subscription", "{subscription}", "DELETE FROM subscription_items WHERE subscription_id = '{subscription}'"),
    to_row(
        "subscription",
        "{subscription}",
        "DELETE FROM mrr_changes WHERE subscription_id = '{subscription}'",
        "DELETE FROM subscriptions WHERE id = '{subscription}'",
    ),
    to_row(
        "subscription",
        "{subscription}",
        "UPDATE subscriptions SET watermark = watermark + 1000 * {n} WHERE id = '{subscription}'",
    ),
    to_row("checkout.session", "{session}", "DELETE FROM purchases WHERE session_id = '{session}'"),
    to_row("checkout.session", "{session}", "UPDATE purchases SET quantity = {n} WHERE session_id = '{session}'"),
    to_row(
        "checkout.session",
        "{session}",
        "UPDATE purchases SET paid_at = paid_at - interval '{n} s' WHERE session_id = '{session}'",
    ),
    to_row("refund", "{refund}", "DELETE FROM refunds WHERE id = '{refund}'"),
    to_row("refund", "{refund}", "UPDATE refunds SET amount = 100 + {n} WHERE id = '{refund}'"),
    to_row("refund", "{refund}", "UPDATE refunds SET rank = {n} WHERE id = '{refund}'"),
    to_row("dispute", "{dispute}", "DELETE FROM disputes WHERE id = '{dispute}'"),
    to_row("dispute", "{dispute}", "UPDATE disputes SET status = 'won', rank = 4 WHERE id = '{dispute}'"),
    to_row(
        "dispute", "{dispute}", "UPDATE disputes SET opened_at = opened_at + interval '{n} s' WHERE id = '{dispute}'"
    ),
    to_row("charge", "{charge}", "UPDATE charges SET amount = 500 + {n} WHERE id = '{charge}'"),
    to_row("charge", "{charge}", "UPDATE charges SET invoice_id = NULL WHERE id = '{charge}'"),
    to_row("customer", "{stripe_id}", "UPDATE stripe_customers SET deleted_at = now() WHERE id = '{stripe_id}'"),
    to_row("holdings", "notes/{name}", "UPDATE customers SET holdings = '[]' WHERE user_id = '{name}'"),
    to_row("holdings", "notes/{name}", "UPDATE customers SET holdings = holdings - 0 WHERE user_id = '{name}'"),
    to_row("holdings", "notes/{name}", "UPDATE customers SET version = 1 WHERE user_id = '{name}'"),
)
CACHE: tuple[Damage, ...] = (
    to_cache(v=lambda dice: {"N": str(dice.randint(100, 10_000))}),
    to_cache(v=lambda _: {"N": "1"}),
    to_cache(k=lambda _: {"M": {}}),
    to_cache(b=lambda dice: {"S": f"{{{dice.random()}"}),
)
SILENCE: tuple[Damage, ...] = (
    in_silence("subscription", "subscription", status=("unpaid", "paused")),
    in_silence("subscription", "subscription", cancel_at_period_end=(True,)),
    in_silence("refund", "refund", status=("failed", "canceled")),
    in_silence("dispute", "dispute", status=("won", "lost")),
)


@pytest.fixture
def lab(shop: Shop) -> Lab:
    made = Lab(shop, random.Random(SEED))  # noqa: S311  a game that can be played again
    made.open()
    assert made.run() == []
    return made


def test_each_damage_is_found_and_mended_and_nothing_else_is_touched(lab: Lab) -> None:
    played = 0
    while played < DAMAGES:
        before, state, items = lab.rows(), lab.shop.digest(), lab.items()
        victims = lab.dice.sample(lab.users, 8)
        done = [lab.dice.choice(CACHE if place < 2 else STORE)(lab, user) for place, user in enumerate(victims)]

        found = lab.run()

        assert sorted(found) == sorted((*one, "repaired") for one in done)
        assert lab.shop.digest() == state
        hurt = {name for user in victims for name in user.ids}
        assert [row for row in before ^ lab.rows() if not any(name in row[1] for name in hurt)] == []
        whole = {pk_of(user) for user in lab.users if user not in victims}
        assert {pk: item for pk, item in lab.items().items() if pk in whole} == {pk: items[pk] for pk in whole}
        assert lab.run() == []
        played += len(done)


def test_each_silent_change_in_stripe_is_found_and_taken_over(lab: Lab) -> None:
    before = lab.rows()
    victims = lab.dice.sample(lab.users, 6)
    done = [lab.dice.choice(SILENCE)(lab, user) for user in victims]

    found = lab.run()

    assert sorted(found) == sorted((*one, "repaired") for one in done)
    hurt = {name for user in victims for name in user.ids}
    assert [row for row in before ^ lab.rows() if not any(name in row[1] for name in hurt)] == []
    assert lab.run() == []
