"""Every kind of drift of every kind of object, made by tampering with one side: found, mended, and found no more."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.lab import EVENTS, HOLDINGS, LISTING, Lab, told
from tests.support.shop import Shop


@dataclass
class Names:
    """What the shop sold before it was tampered with."""

    shop: Shop
    subscription: str = ""
    session: str = ""
    refund: str = ""
    dispute: str = ""
    customer: str = ""
    price: str = ""
    product: str = ""
    late: str = ""
    invoice: str = ""
    charge: str = ""
    paid: str = ""
    fake: str = "ch_fake"
    ann: str = "notes/ann"

    def sql(self, *statements: str) -> None:
        for statement in statements:
            self.shop.rows(statement.format(**self.__dict__))

    def hide(self, object_id: str) -> None:
        """Stripe has it no more, and never said so."""
        account = self.shop.double.control._account
        with account.lock:
            account.remove(account.objects[object_id])

    def change(self, object_id: str, **fields: object) -> None:
        self.shop.double.control.change_silently(object_id, dict(fields))


@pytest.fixture
def lab(shop: Shop) -> Lab:
    return Lab(shop)


@pytest.fixture
def names(shop: Shop) -> Names:
    """Ann subscribes and has a badge, Bob's is refunded, Cid's disputed; Eve's renewal was declined."""
    late = shop.buy("eve", "pro_monthly")
    shop.double.control.set_card(shop.customer("eve"), "decline")
    shop.double.control.end_period(late)
    shop.double.control.advance_clock(advance_seconds=2 * 3600)
    subscription = shop.buy("ann", "pro_monthly", 3)
    session = shop.buy("ann", "badge")
    refund = str(shop.double.control.refund(shop.buy("bob", "badge"))["id"])
    dispute = str(shop.double.control.open_dispute(shop.buy("cid", "badge"))["id"])
    shop.apply(shop.events())
    price = shop.price("pro_yearly")
    product = str(shop.stripe.v1.prices.retrieve(price).product)
    invoice = str(shop.stripe.v1.subscriptions.retrieve(late).latest_invoice)
    ann = shop.customer("ann")
    [(paid,)] = shop.rows(f"SELECT id FROM invoices WHERE subscription_id = '{late}' AND paid_at IS NOT NULL")  # noqa: S608
    [(charge,)] = shop.rows(f"SELECT charge_id FROM refunds WHERE id = '{refund}'")  # noqa: S608
    return Names(shop, subscription, session, refund, dispute, ann, price, product, late, invoice, charge, paid)


Tamper = Callable[[Names], object]

CASES: dict[str, tuple[str, str, str, Tamper]] = {
    "a subscription the store lost": (
        "missing_local",
        "subscription",
        "subscription",
        lambda n: n.sql(
            "DELETE FROM mrr_changes WHERE subscription_id = '{subscription}'",
            "DELETE FROM subscriptions WHERE id = '{subscription}'",
        ),
    ),
    "a purchase the store lost": (
        "missing_local",
        "checkout.session",
        "session",
        lambda n: n.sql("DELETE FROM purchases WHERE session_id = '{session}'"),
    ),
    "a refund the store lost": (
        "missing_local",
        "refund",
        "refund",
        lambda n: n.sql("DELETE FROM refunds WHERE id = '{refund}'"),
    ),
    "a dispute the store lost": (
        "missing_local",
        "dispute",
        "dispute",
        lambda n: n.sql("DELETE FROM disputes WHERE id = '{dispute}'"),
    ),
    "a price the store lost": (
        "missing_local",
        "price",
        "price",
        lambda n: n.sql("DELETE FROM prices WHERE id = '{price}'"),
    ),
    "a subscription's status in the store": (
        "field_mismatch",
        "subscription",
        "subscription",
        lambda n: n.sql("UPDATE subscriptions SET status = 'unpaid' WHERE id = '{subscription}'"),
    ),
    "a subscription's seats in the store": (
        "field_mismatch",
        "subscription",
        "subscription",
        lambda n: n.sql("UPDATE subscription_items SET quantity = 9 WHERE subscription_id = '{subscription}'"),
    ),
    "a subscription's items in the store": (
        "field_mismatch",
        "subscription",
        "subscription",
        lambda n: n.sql("DELETE FROM subscription_items WHERE subscription_id = '{subscription}'"),
    ),
    "a subscription changed in Stripe": (
        "field_mismatch",
        "subscription",
        "subscription",
        lambda n: n.change(n.subscription, cancel_at_period_end=True),
    ),
    "a subscription ended in Stripe": (
        "field_mismatch",
        "subscription",
        "subscription",
        lambda n: n.change(n.subscription, status="canceled", ended_at=n.shop.double.control.clock()["now"]),
    ),
    "a purchase's count in the store": (
        "field_mismatch",
        "checkout.session",
        "session",
        lambda n: n.sql("UPDATE purchases SET quantity = 7 WHERE session_id = '{session}'"),
    ),
    "a refund's status in the store": (
        "field_mismatch",
        "refund",
        "refund",
        lambda n: n.sql("UPDATE refunds SET status = 'failed', rank = 3 WHERE id = '{refund}'"),
    ),
    "a refund failed in Stripe": ("field_mismatch", "refund", "refund", lambda n: n.change(n.refund, status="failed")),
    "a dispute's status in the store": (
        "field_mismatch",
        "dispute",
        "dispute",
        lambda n: n.sql("UPDATE disputes SET status = 'won', rank = 4 WHERE id = '{dispute}'"),
    ),
    "a dispute lost in Stripe": ("field_mismatch", "dispute", "dispute", lambda n: n.change(n.dispute, status="lost")),
    "a failed renewal the store lost": (
        "missing_local",
        "invoice",
        "invoice",
        lambda n: n.sql("DELETE FROM invoices WHERE id = '{invoice}'"),
    ),
    "a failed renewal paid in the store": (
        "field_mismatch",
        "invoice",
        "invoice",
        lambda n: n.sql("UPDATE invoices SET paid_at = now() WHERE id = '{invoice}'"),
    ),
    "a failed renewal paid in Stripe": (
        "field_mismatch",
        "invoice",
        "invoice",
        lambda n: n.change(
            n.invoice,
            status="paid",
            status_transitions={
                "finalized_at": 1,
                "marked_uncollectible_at": None,
                "paid_at": n.shop.double.control.clock()["now"],
                "voided_at": None,
            },
        ),
    ),
    "a failed renewal dated too late in the store": (
        "field_mismatch",
        "invoice",
        "invoice",
        lambda n: n.sql(
            "UPDATE invoices SET first_failed_at = first_failed_at + interval '3 d' WHERE id = '{invoice}'"
        ),
    ),
    "a failed renewal dated too early in the store": (
        "field_mismatch",
        "invoice",
        "invoice",
        lambda n: n.sql(
            "UPDATE invoices SET first_failed_at = first_failed_at - interval '3 d' WHERE id = '{invoice}'"
        ),
    ),
    "a failed renewal without a day in the store": (
        "field_mismatch",
        "invoice",
        "invoice",
        lambda n: n.sql("UPDATE invoices SET first_failed_at = NULL WHERE id = '{invoice}'"),
    ),
    "a payment dated behind a failure in the store": (
        "field_mismatch",
        "invoice",
        "paid",
        lambda n: n.sql("UPDATE invoices SET paid_at = paid_at + interval '1 year' WHERE id = '{paid}'"),
    ),
    "a refund's day in the store": (
        "field_mismatch",
        "refund",
        "refund",
        lambda n: n.sql("UPDATE refunds SET created_at = created_at - interval '1 d' WHERE id = '{refund}'"),
    ),
    "a dispute that heeds no later word in the store": (
        "field_mismatch",
        "dispute",
        "dispute",
        lambda n: n.sql("UPDATE disputes SET rank = 9 WHERE id = '{dispute}'"),
    ),
    "a charge's amount in the store": (
        "field_mismatch",
        "charge",
        "charge",
        lambda n: n.sql("UPDATE charges SET amount = 1 WHERE id = '{charge}'"),
    ),
    "a charge's payer in the store": (
        "field_mismatch",
        "charge",
        "charge",
        lambda n: n.sql("UPDATE charges SET stripe_customer_id = '{customer}' WHERE id = '{charge}'"),
    ),
    "what a charge paid in the store": (
        "field_mismatch",
        "charge",
        "charge",
        lambda n: n.sql("UPDATE charges SET session_id = NULL, invoice_id = '{paid}' WHERE id = '{charge}'"),
    ),
    "a charge Stripe never had in the store": (
        "missing_remote",
        "charge",
        "fake",
        lambda n: n.sql(
            "INSERT INTO charges (id, stripe_customer_id, amount, currency) VALUES ('{fake}', '{customer}', 1, 'usd')"
        ),
    ),
    "a subscription of a second to come in the store": (
        "field_mismatch",
        "subscription",
        "subscription",
        lambda n: n.sql("UPDATE subscriptions SET watermark = 4102444800 WHERE id = '{subscription}'"),
    ),
    "a product of a second to come in the store": (
        "field_mismatch",
        "product",
        "product",
        lambda n: n.sql("UPDATE products SET watermark = 4102444800 WHERE id = '{product}'"),
    ),
    "a price of a second to come in the store": (
        "field_mismatch",
        "price",
        "price",
        lambda n: n.sql("UPDATE prices SET watermark = 4102444800 WHERE id = '{price}'"),
    ),
    "what a customer holds in the store": (
        "field_mismatch",
        "holdings",
        "ann",
        lambda n: n.sql("UPDATE customers SET holdings = '[]' WHERE user_id = 'ann'"),
    ),
    "what a customer holds is unreadable in the store": (
        "field_mismatch",
        "holdings",
        "ann",
        lambda n: n.sql("""UPDATE customers SET holdings = '[{{"kind": "gift"}}, 7]' WHERE user_id = 'ann'"""),
    ),
    "a customer's version behind its history in the store": (
        "field_mismatch",
        "holdings",
        "ann",
        lambda n: n.sql("UPDATE customers SET version = 1 WHERE user_id = 'ann'"),
    ),
    "the last of a customer's history in the store": (
        "field_mismatch",
        "holdings",
        "ann",
        lambda n: n.sql(
            "UPDATE holdings_changes AS h SET holdings = '[]' FROM customers AS c"
            " WHERE c.user_id = 'ann' AND h.customer_id = c.id AND h.version = c.version"
        ),
    ),
    "a price's amount in the store": (
        "field_mismatch",
        "price",
        "price",
        lambda n: n.sql("UPDATE prices SET unit_amount = 1, unit_amount_decimal = 1 WHERE id = '{price}'"),
    ),
    "a price deleted in the store": (
        "field_mismatch",
        "price",
        "price",
        lambda n: n.sql("UPDATE prices SET deleted = true WHERE id = '{price}'"),
    ),
    "a price archived in Stripe": ("field_mismatch", "price", "price", lambda n: n.change(n.price, active=False)),
    "a product's name in the store": (
        "field_mismatch",
        "product",
        "product",
        lambda n: n.sql("UPDATE products SET name = 'Contra' WHERE id = '{product}'"),
    ),
    "a product deleted in the store": (
        "field_mismatch",
        "product",
        "product",
        lambda n: n.sql("UPDATE products SET deleted = true WHERE id = '{product}'"),
    ),
    "a product renamed in Stripe": ("field_mismatch", "product", "product", lambda n: n.change(n.product, name="Max")),
    "a customer deleted in the store": (
        "field_mismatch",
        "customer",
        "customer",
        lambda n: n.sql("UPDATE stripe_customers SET deleted_at = now() WHERE id = '{customer}'"),
    ),
    "a subscription Stripe never had": (
        "missing_remote",
        "subscription",
        "subscription",
        lambda n: n.hide(n.subscription),
    ),
    "a purchase Stripe never had": ("missing_remote", "checkout.session", "session", lambda n: n.hide(n.session)),
    "a refund Stripe never had": ("missing_remote", "refund", "refund", lambda n: n.hide(n.refund)),
    "a dispute Stripe never had": ("missing_remote", "dispute", "dispute", lambda n: n.hide(n.dispute)),
    "a customer Stripe deleted": (
        "missing_remote",
        "customer",
        "customer",
        lambda n: n.change(n.customer, deleted=True),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_drift_is_found_and_mended_and_the_second_run_finds_none(lab: Lab, names: Names, case: str) -> None:
    kind, object_type, name, tamper = CASES[case]
    before = names.shop.digest(), money(names.shop)
    tamper(names)

    done = lab.run(LISTING, HOLDINGS)

    assert told(drift for drift, _ in done) == [(kind, object_type, getattr(names, name))]
    assert [mended.status for _, mended in done] == ["repaired"]
    assert [*lab.find(LISTING), *lab.find(HOLDINGS)] == []
    # damage here is undone, what changed in Stripe is taken over
    assert ((names.shop.digest(), money(names.shop)) == before) == ("the store" in case)


def money(shop: Shop) -> list[object]:
    return [
        shop.rows("SELECT id, charge_id, amount, status, rank, created_at FROM refunds ORDER BY id"),
        shop.rows("SELECT id, charge_id, amount, status, rank, opened_at FROM disputes ORDER BY id"),
        shop.rows("SELECT * FROM charges ORDER BY id"),
        shop.rows("SELECT id, product_id, currency, unit_amount, unit_amount_decimal FROM prices ORDER BY id"),
        shop.rows("SELECT project_id, subscription_id, divisor, customer_id, amount FROM mrr_changes ORDER BY 1, 2, 3"),
    ]


def test_a_grace_whose_first_failure_was_not_heard_of_counts_from_when_it_was_first_tried(lab: Lab, shop: Shop) -> None:
    late = shop.buy("eve", "pro_monthly")
    shop.double.control.set_card(shop.customer("eve"), "decline")
    shop.double.control.end_period(late)
    shop.double.control.advance_clock(advance_seconds=2 * 3600)
    deaf = [body for body in shop.events() if b'"invoice.payment_failed"' in body]
    shop.double.control.advance_clock(advance_seconds=4 * 86_400)
    shop.apply(body for body in shop.events() if body not in deaf)
    invoice = str(shop.stripe.v1.subscriptions.retrieve(late).latest_invoice)
    finalized_at = shop.stripe.v1.invoices.retrieve(invoice).status_transitions.finalized_at

    assert told(drift for drift, _ in lab.run()) == [("field_mismatch", "invoice", invoice)]

    [(failed_at,)] = shop.rows("SELECT EXTRACT(epoch FROM first_failed_at) FROM invoices WHERE paid_at IS NULL")
    assert failed_at == finalized_at
    assert lab.find() == []


def test_an_untouched_shop_has_no_drift(lab: Lab, names: Names) -> None:
    assert lab.run(EVENTS, LISTING, HOLDINGS) == []
