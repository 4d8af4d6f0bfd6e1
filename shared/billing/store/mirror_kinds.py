"""What is compared of each kind of object: the store's rows in the words of `payments/mirrored.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mirror:
    """How a kind is read.

    keys: the store's ids, `id`. rows: its rows among `ids`; `state`, `watermark` (null: it has none), `stays` (there is
    something to take away if Stripe has it no more), `customer` and `product`. ours: whether a listed object that the
    store lacks belongs here.
    """

    keys: str
    rows: str
    ours: str


# Known, or found missing by the same run and mended before what refers to it.
_CUSTOMER_KNOWN = """
(EXISTS (SELECT FROM stripe_customers AS o WHERE o.id = l.state ->> 'customer')
 OR EXISTS (SELECT FROM run_listing AS o JOIN projects AS j ON j.identity_namespace = o.state -> 'fact' ->> 'namespace'
            WHERE o.run_id = %(run_id)s AND o.object_type = 'customer' AND o.object_id = l.state ->> 'customer'))
"""
_PRODUCT_KNOWN_OF = """
(EXISTS (SELECT FROM products AS o WHERE o.id IN (SELECT jsonb_array_elements_text({state} -> 'products')))
 OR EXISTS (SELECT FROM run_listing AS o JOIN projects AS j ON j.id = o.state ->> 'project'
            WHERE o.run_id = %(run_id)s AND o.object_type = 'product'
              AND o.object_id IN (SELECT jsonb_array_elements_text({state} -> 'products'))))
"""
_A_PRODUCT_KNOWN = _PRODUCT_KNOWN_OF.replace("{state}", "l.state")
_SUBSCRIPTION_KNOWN = """
(EXISTS (SELECT FROM subscriptions AS o WHERE o.id = l.state -> 'fact' ->> 'subscription')
 OR EXISTS (SELECT FROM run_listing AS u
            WHERE u.run_id = %(run_id)s AND u.object_type = 'subscription'
              AND u.object_id = l.state -> 'fact' ->> 'subscription' AND {product_known}))
""".replace("{product_known}", _PRODUCT_KNOWN_OF.replace("{state}", "u.state"))
MIRRORS: Mapping[str, Mirror] = {
    "customer": Mirror(
        "SELECT id FROM stripe_customers",
        """
        SELECT k.id, jsonb_build_object('deleted', k.deleted_at IS NOT NULL, 'namespace', c.namespace,
                                        'user_id', c.user_id) AS state,
               NULL::bigint AS watermark, k.deleted_at IS NULL AS stays, k.id AS customer, NULL::text AS product
        FROM stripe_customers AS k JOIN customers AS c ON c.id = k.customer_id WHERE k.id = ANY(%(ids)s)
        """,
        "EXISTS (SELECT FROM projects AS o WHERE o.identity_namespace = l.state -> 'fact' ->> 'namespace')",
    ),
    "product": Mirror(
        "SELECT id FROM products",
        """
        SELECT p.id, jsonb_build_object('name', p.name, 'active', p.active, 'deleted', p.deleted) AS state,
               p.watermark, NOT p.deleted AS stays, NULL::text AS customer, p.id AS product
        FROM products AS p WHERE p.id = ANY(%(ids)s)
        """,
        "EXISTS (SELECT FROM projects AS o WHERE o.id = l.state ->> 'project')",
    ),
    "price": Mirror(
        "SELECT id FROM prices",
        """
        SELECT r.id, jsonb_build_object(
                 'product', r.product_id, 'lookup_key', r.lookup_key, 'type', r.type, 'currency', r.currency,
                 'per_unit', trim_scale(COALESCE(r.unit_amount_decimal, r.unit_amount))::text,
                 'billing_scheme', r.billing_scheme, 'interval', r.recurring_interval, 'every', r.recurring_count,
                 'usage_type', r.usage_type, 'active', r.active, 'deleted', r.deleted, 'tiers_mode', r.tiers_mode,
                 'tiers', NULLIF(r.tiers, '[]'), 'options', COALESCE(r.currency_options, '{}'),
                 'package', jsonb_build_array(r.package_size, r.package_round)) AS state,
               r.watermark, NOT r.deleted AS stays, NULL::text AS customer, r.product_id AS product
        FROM prices AS r WHERE r.id = ANY(%(ids)s)
        """,
        _A_PRODUCT_KNOWN,
    ),
    "subscription": Mirror(
        "SELECT id FROM subscriptions",
        """
        SELECT s.id, jsonb_build_object(
                 'customer', s.stripe_customer_id, 'status', s.status,
                 'start', EXTRACT(epoch FROM s.start_at)::bigint,
                 'trial_end', EXTRACT(epoch FROM s.trial_end)::bigint,
                 'cancel_at', EXTRACT(epoch FROM s.cancel_at)::bigint,
                 'cancel_at_period_end', s.cancel_at_period_end,
                 'canceled_at', EXTRACT(epoch FROM s.canceled_at)::bigint,
                 'ended_at', EXTRACT(epoch FROM s.ended_at)::bigint,
                 'latest_invoice', s.latest_invoice_id, 'currency', s.currency, 'discounts', s.discount_ids,
                 'items', (SELECT COALESCE(jsonb_agg(jsonb_build_array(
                                    i.id, i.price_id, i.quantity, EXTRACT(epoch FROM i.period_start)::bigint,
                                    EXTRACT(epoch FROM i.period_end)::bigint, i.discount_ids)
                                  ORDER BY i.id COLLATE "C"), '[]')
                           FROM subscription_items AS i WHERE i.subscription_id = s.id)) AS state,
               s.watermark, s.ended_at IS NULL OR s.status NOT IN ('canceled', 'incomplete_expired') AS stays,
               s.stripe_customer_id AS customer,
               (SELECT min(r.product_id) FROM subscription_items AS i JOIN prices AS r ON r.id = i.price_id
                WHERE i.subscription_id = s.id) AS product
        FROM subscriptions AS s WHERE s.id = ANY(%(ids)s)
        """,
        _A_PRODUCT_KNOWN,
    ),
    # What a past due subscription's grace counts from: payments that failed, and those that would end the counting.
    # And the payment that makes good a lost dispute.
    "invoice": Mirror(
        """
        SELECT i.id FROM subscriptions AS s JOIN invoices AS i ON i.subscription_id = s.id
        WHERE s.status = 'past_due' AND i.first_failed_at IS NOT NULL AND i.paid_at IS NULL
        UNION ALL
        SELECT i.id FROM subscriptions AS s JOIN invoices AS f ON f.subscription_id = s.id
        JOIN invoices AS i ON i.subscription_id = s.id AND i.paid_at >= f.first_failed_at
        WHERE s.status = 'past_due' AND f.first_failed_at IS NOT NULL AND f.paid_at IS NULL
        UNION ALL
        SELECT (SELECT i.id FROM invoices AS i WHERE i.subscription_id = h.subscription_id AND i.paid_at > d.opened_at
                ORDER BY i.paid_at DESC LIMIT 1)
        FROM disputes AS d JOIN charges AS h ON h.id = d.charge_id JOIN subscriptions AS s ON s.id = h.subscription_id
        WHERE d.status = 'lost' AND s.ended_at IS NULL
        """,
        # Dated by the first event, where as many were heard as there were tries; else by its finalization, when it was
        # first tried. An hour is no difference.
        """
        SELECT i.id, jsonb_build_object(
                 'subscription', i.subscription_id, 'customer', i.stripe_customer_id,
                 'paid_at', EXTRACT(epoch FROM i.paid_at)::bigint,
                 'failed_at', CASE WHEN i.paid_at IS NOT NULL THEN NULL
                                   WHEN abs(i.failed - COALESCE(i.told, i.finalized, i.failed)) <= 3600 THEN i.finalized
                                   ELSE COALESCE(i.failed, 0) END) AS state,
               NULL::bigint AS watermark, true AS stays, i.stripe_customer_id AS customer, NULL::text AS product
        FROM (
          SELECT v.id, v.subscription_id, v.stripe_customer_id, v.paid_at,
                 EXTRACT(epoch FROM v.first_failed_at)::bigint AS failed,
                 (l.state -> 'fact' ->> 'failed_at')::bigint AS finalized,
                 (SELECT min(e.created) FROM inbox AS e
                  WHERE e.object_id = v.id AND e.type = 'invoice.payment_failed' AND e.status = 'applied'
                  HAVING count(*) >= COALESCE((l.state ->> 'attempts')::bigint, 0)) AS told
          FROM invoices AS v
          LEFT JOIN run_listing AS l ON l.run_id = %(run_id)s AND l.object_type = 'invoice' AND l.object_id = v.id
          WHERE v.id = ANY(%(ids)s)) AS i
        """,
        _SUBSCRIPTION_KNOWN,
    ),
    "refund": Mirror(
        "SELECT id FROM refunds WHERE created_at >= COALESCE(%(since)s::timestamptz, '-infinity')",
        """
        SELECT b.id, jsonb_build_object('charge', b.charge_id, 'amount', b.amount, 'status', b.status, 'rank', b.rank,
                                        'created', EXTRACT(epoch FROM b.created_at)::bigint) AS state,
               NULL::bigint AS watermark, true AS stays, h.stripe_customer_id AS customer, NULL::text AS product
        FROM refunds AS b JOIN charges AS h ON h.id = b.charge_id WHERE b.id = ANY(%(ids)s)
        """,
        _CUSTOMER_KNOWN,
    ),
    "dispute": Mirror(
        "SELECT id FROM disputes WHERE opened_at >= COALESCE(%(since)s::timestamptz, '-infinity')",
        """
        SELECT d.id, jsonb_build_object('charge', d.charge_id, 'amount', d.amount, 'status', d.status, 'rank', d.rank,
                                        'created', EXTRACT(epoch FROM d.opened_at)::bigint) AS state,
               NULL::bigint AS watermark, true AS stays, h.stripe_customer_id AS customer, NULL::text AS product
        FROM disputes AS d JOIN charges AS h ON h.id = d.charge_id WHERE d.id = ANY(%(ids)s)
        """,
        _CUSTOMER_KNOWN,
    ),
    # Of charges only those are kept of which money went back, or may: those lists show them. What a charge paid no list
    # shows; a session's purchase does, and all others are asked for.
    "charge": Mirror(
        """
        SELECT h.id FROM charges AS h
        WHERE EXISTS (SELECT FROM refunds AS b WHERE b.charge_id = h.id
                      AND b.created_at >= COALESCE(%(since)s::timestamptz, '-infinity'))
           OR EXISTS (SELECT FROM disputes AS d WHERE d.charge_id = h.id AND (
                      d.status IN ('open', 'inquiry') OR d.opened_at >= COALESCE(%(since)s::timestamptz, '-infinity')))
           OR NOT EXISTS (SELECT FROM refunds AS b WHERE b.charge_id = h.id)
              AND NOT EXISTS (SELECT FROM disputes AS d WHERE d.charge_id = h.id)
        """,
        """
        SELECT h.id, jsonb_build_object(
                 'customer', h.stripe_customer_id, 'amount', h.amount, 'currency', h.currency,
                 'payment_intent', h.payment_intent_id, 'invoice', h.invoice_id, 'subscription', h.subscription_id,
                 'session', h.session_id) AS state,
               NULL::bigint AS watermark, true AS stays, h.stripe_customer_id AS customer, NULL::text AS product
        FROM charges AS h WHERE h.id = ANY(%(ids)s)
        """,
        "false",
    ),
    "checkout.session": Mirror(
        """
        SELECT session_id AS id FROM purchases
        WHERE paid_at >= COALESCE(%(since)s::timestamptz, '-infinity')
        """,
        """
        SELECT b.session_id AS id, jsonb_build_object(
                 'customer', min(b.stripe_customer_id), 'payment_intent', min(b.payment_intent_id),
                 'paid_at', EXTRACT(epoch FROM min(b.paid_at))::bigint,
                 'lines', jsonb_agg(jsonb_build_array(b.line_item_id, b.price_id, b.quantity, b.amount, b.currency)
                                    ORDER BY b.line_item_id COLLATE "C")) AS state,
               NULL::bigint AS watermark, true AS stays, min(b.stripe_customer_id) AS customer,
               min(r.product_id) AS product
        FROM purchases AS b JOIN prices AS r ON r.id = b.price_id
        WHERE b.session_id = ANY(%(ids)s) GROUP BY b.session_id
        """,
        f"{_CUSTOMER_KNOWN} AND {_A_PRODUCT_KNOWN}",
    ),
}
