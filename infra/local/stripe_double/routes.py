"""The API's routes: method and path → what answers, and the SDK's class that describes the parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from infra.local.stripe_double.errors import StripeFault, invalid
from infra.local.stripe_double.ids import KINDS
from infra.local.stripe_double.objects import (
    catalog,
    changes,
    checkout,
    checkout_payment,
    coupons,
    customer_deletion,
    customers,
    disputes,
    invoice_routes,
    invoices,
    items,
    methods,
    payments,
    portal,
    refunds,
    subscriptions,
    webhooks,
)
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.schemas import object_fields, params_fields
from infra.local.stripe_double.templates import Obj

# answer(account, params, *ids in the path) → an object as stored, a page, or what is left of a deleted one
Answerer = Callable[..., Obj]


@dataclass(frozen=True)
class Route:
    method: str
    path: str  # "{}" stands for an id
    answer: Answerer
    params: str | None  # None: Stripe's SDK does not know the route, its parameters are taken as they come

    def match(self, method: str, path: str) -> tuple[str, ...] | None:
        """The ids in the path, if the route is meant."""
        if method != self.method:
            return None
        found = re.fullmatch(self.path.replace("{}", "([^/]+)"), path)
        return found.groups() if found else None


def check(route: Route, params: Params) -> None:
    """StripeFault 400 for a parameter that the double would have to ignore: it says so instead."""
    for name in _NOT_HONOURED.get(route.params or "", ()):
        if params.get(name):
            raise invalid(f"The Stripe double does not honour the parameter {name}: leave it out.", param=name)


_ABOUT_MONEY = ("application_fee_percent", "on_behalf_of", "transfer_data", "billing_schedules", "billing_thresholds")
# What changes the outcome in real Stripe and nothing here. Parameters without such weight are taken and forgotten.
_NOT_HONOURED: dict[str, tuple[str, ...]] = {
    "SubscriptionCreateParams": (
        *_ABOUT_MONEY,
        "add_invoice_items",
        "backdate_start_date",
        "billing_cycle_anchor",
        "billing_cycle_anchor_config",
        "customer_account",
        "pending_invoice_item_interval",
    ),
    "SubscriptionUpdateParams": (
        *_ABOUT_MONEY,
        "add_invoice_items",
        "pending_invoice_item_interval",
        "proration_date",
    ),
    "SubscriptionCancelParams": ("invoice_now", "prorate"),
    "checkout.SessionCreateParams": (
        "after_expiration",
        "customer_account",
        "invoice_creation",
        "optional_items",
        "shipping_options",
    ),
    "billing_portal.SessionCreateParams": ("customer_account", "on_behalf_of"),
    "RefundCreateParams": ("customer", "origin", "refund_application_fee", "reverse_transfer"),
}


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """The route and the ids in the path. StripeFault 404 if the double has no such route."""
    for route in ROUTES:
        ids = route.match(method, path)
        if ids is not None:
            return route, ids
    raise StripeFault(
        404,
        "invalid_request_error",
        f"Unrecognized request URL ({method}: {path}). The Stripe double has a route for each line of its routes.py.",
    )


def warm_up() -> None:
    """Read the SDK's descriptions of all parameters and objects now, so that no request waits for it."""
    for route in ROUTES:
        if route.params:
            params_fields(route.params)
    for kind in KINDS:
        object_fields(kind)


def _resource(path: str, name: str, **verbs: Answerer) -> list[Route]:
    """The usual routes of an object: create, list, retrieve, update, delete under the SDK's usual parameter names."""
    shapes = {
        "create": ("POST", path, "Create"),
        "list": ("GET", path, "List"),
        "retrieve": ("GET", path + "/{}", "Retrieve"),
        "update": ("POST", path + "/{}", "Update"),
        "delete": ("DELETE", path + "/{}", "Delete"),
        "cancel": ("DELETE", path + "/{}", "Cancel"),
    }
    return [
        Route(shapes[verb][0], shapes[verb][1], answer, f"{name}{shapes[verb][2]}Params")
        for verb, answer in verbs.items()
    ]


def _action(path: str, answer: Answerer, params: str | None, method: str = "POST") -> Route:
    return Route(method, path, answer, params)


ROUTES: list[Route] = [
    *_resource(
        "/v1/customers",
        "Customer",
        create=customers.create,
        list=customers.list_customers,
        retrieve=customers.retrieve,
        update=customers.update,
        delete=customer_deletion.delete,
    ),
    *_resource(
        "/v1/products",
        "Product",
        create=catalog.create_product,
        list=catalog.list_products,
        retrieve=catalog.retrieve_product,
        update=catalog.update_product,
        delete=catalog.delete_product,
    ),
    *_resource(
        "/v1/prices",
        "Price",
        create=catalog.create_price,
        list=catalog.list_prices,
        retrieve=catalog.retrieve_price,
        update=catalog.update_price,
    ),
    *_resource("/v1/plans", "Plan", create=catalog.create_plan),
    *_resource(
        "/v1/coupons",
        "Coupon",
        create=coupons.create,
        list=coupons.list_coupons,
        retrieve=coupons.retrieve,
        update=coupons.update,
        delete=coupons.delete,
    ),
    _action(
        "/v1/checkout/sessions/{}/line_items", checkout.list_line_items, "checkout.SessionListLineItemsParams", "GET"
    ),
    _action("/v1/checkout/sessions/{}/expire", checkout.expire, "checkout.SessionExpireParams"),
    *_resource(
        "/v1/checkout/sessions",
        "checkout.Session",
        create=checkout.create,
        list=checkout.list_sessions,
        retrieve=checkout.retrieve,
        update=checkout.update,
    ),
    # The hosted page's own calls, which Stripe's CLI makes in place of a browser.
    _action("/v1/payment_pages/{}", checkout.retrieve, None, "GET"),
    _action("/v1/payment_pages/{}/confirm", checkout_payment.confirm, None),
    *_resource("/v1/billing_portal/sessions", "billing_portal.Session", create=portal.create_session),
    *_resource(
        "/v1/billing_portal/configurations",
        "billing_portal.Configuration",
        create=portal.create_configuration,
        list=portal.list_configurations,
        retrieve=portal.retrieve_configuration,
        update=portal.update_configuration,
    ),
    *_resource(
        "/v1/subscriptions",
        "Subscription",
        create=subscriptions.create,
        list=subscriptions.list_subscriptions,
        retrieve=subscriptions.retrieve,
        update=subscriptions.update,
        cancel=subscriptions.cancel,
    ),
    _action("/v1/subscriptions/{}/resume", subscriptions.resume, "SubscriptionResumeParams"),
    *_resource(
        "/v1/subscription_items",
        "SubscriptionItem",
        create=changes.create_item,
        list=items.list_items,
        retrieve=items.retrieve,
        update=changes.update_item,
        delete=changes.delete_item,
    ),
    *_resource(
        "/v1/invoices",
        "Invoice",
        create=invoice_routes.create,
        list=invoices.list_invoices,
        retrieve=invoices.retrieve,
        update=invoices.update,
        delete=invoice_routes.delete,
    ),
    _action("/v1/invoices/{}/lines", invoices.list_lines, "InvoiceLineItemListParams", "GET"),
    _action("/v1/invoices/{}/finalize", invoice_routes.finalize, "InvoiceFinalizeInvoiceParams"),
    _action("/v1/invoices/{}/pay", invoice_routes.pay, "InvoicePayParams"),
    _action("/v1/invoices/{}/send", invoice_routes.send, "InvoiceSendInvoiceParams"),
    _action("/v1/invoices/{}/void", invoice_routes.void, "InvoiceVoidInvoiceParams"),
    _action("/v1/invoices/{}/mark_uncollectible", invoice_routes.mark_uncollectible, "InvoiceMarkUncollectibleParams"),
    *_resource(
        "/v1/invoice_payments", "InvoicePayment", list=invoices.list_payments, retrieve=invoices.retrieve_payment
    ),
    *_resource(
        "/v1/invoiceitems",
        "InvoiceItem",
        create=items.create_invoice_item,
        list=items.list_invoice_items,
        retrieve=items.retrieve_invoice_item,
        delete=items.delete_invoice_item,
    ),
    *_resource(
        "/v1/payment_intents",
        "PaymentIntent",
        create=payments.create,
        list=payments.list_intents,
        retrieve=payments.retrieve,
        update=payments.update,
    ),
    _action("/v1/payment_intents/{}/confirm", payments.confirm, "PaymentIntentConfirmParams"),
    _action("/v1/payment_intents/{}/capture", payments.capture, "PaymentIntentCaptureParams"),
    _action("/v1/payment_intents/{}/cancel", payments.cancel, "PaymentIntentCancelParams"),
    *_resource(
        "/v1/charges",
        "Charge",
        list=payments.list_charges,
        retrieve=payments.retrieve_charge,
        update=payments.update_charge,
    ),
    *_resource(
        "/v1/refunds",
        "Refund",
        create=refunds.create,
        list=refunds.list_refunds,
        retrieve=refunds.retrieve,
        update=refunds.update,
    ),
    *_resource(
        "/v1/disputes", "Dispute", list=disputes.list_disputes, retrieve=disputes.retrieve, update=disputes.update
    ),
    _action("/v1/disputes/{}/close", disputes.give_up, "DisputeCloseParams"),
    *_resource(
        "/v1/payment_methods",
        "PaymentMethod",
        create=methods.create,
        list=methods.list_methods,
        retrieve=methods.retrieve,
        update=methods.update,
    ),
    _action("/v1/payment_methods/{}/attach", methods.attach, "PaymentMethodAttachParams"),
    _action("/v1/payment_methods/{}/detach", methods.detach, "PaymentMethodDetachParams"),
    *_resource(
        "/v1/webhook_endpoints",
        "WebhookEndpoint",
        create=webhooks.create_endpoint,
        list=webhooks.list_endpoints,
        retrieve=webhooks.retrieve_endpoint,
        update=webhooks.update_endpoint,
        delete=webhooks.delete_endpoint,
    ),
    *_resource("/v1/events", "Event", list=webhooks.list_events, retrieve=webhooks.retrieve_event),
]
