"""Customers."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import listing
from infra.local.stripe_double.objects import methods
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj

_PLAIN = ("address", "description", "email", "name", "phone", "shipping", "preferred_locales", "tax_exempt", "balance")
_LONGEST_EMAIL = 512

list_customers = listing("customer", "/v1/customers", created="created", email="email")


def create(account: Account, params: Params) -> Obj:
    email = params.get("email") or None
    if email and (len(email) > _LONGEST_EMAIL or "@" not in email):
        raise invalid(f"Invalid email address: {email}", param="email", code="email_invalid")
    customer = account.create(
        "customer",
        balance=params.get("balance", 0),
        invoice_prefix=account.ids.text(8).upper(),
        invoice_settings=_no_invoice_settings(),
        metadata=merged({}, params),
        next_invoice_sequence=1,
        preferred_locales=params.get("preferred_locales", []),
        tax_exempt=params.get("tax_exempt") or "none",
        **{name: params.get(name) or None for name in ("address", "description", "name", "phone", "shipping")},
        email=email,
    )
    emit(account, "customer.created", customer)
    if "payment_method" in params:
        methods.attach(account, {"customer": customer["id"]}, params["payment_method"])
    _set_default_method(account, customer, params)
    return customer


def _no_invoice_settings() -> Obj:
    return {"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None}


def retrieve(account: Account, _params: Params, customer_id: str) -> Obj:
    return account.get("customer", customer_id)


def update(account: Account, params: Params, customer_id: str) -> Obj:
    customer = living(account, customer_id)
    with recorded(account, customer, "customer.updated"):
        for name in _PLAIN:
            if name in params:
                customer[name] = params[name] if params[name] != "" else None
        customer["metadata"] = merged(customer["metadata"], params)
    _set_default_method(account, customer, params)
    return customer


def _set_default_method(account: Account, customer: Obj, params: Params) -> None:
    wanted = params.get("invoice_settings", {}).get("default_payment_method")
    if wanted is None:
        return
    method = methods.owned(account, wanted, customer["id"], param="invoice_settings[default_payment_method]")
    with recorded(account, customer, "customer.updated"):
        customer["invoice_settings"]["default_payment_method"] = method["id"]


def living(account: Account, customer_id: str, *, param: str = "id") -> Obj:
    """The customer; resource_missing if there is none or it is deleted."""
    customer = account.get("customer", customer_id, param=param)
    if customer.get("deleted"):
        raise invalid(f"No such customer: '{customer_id}'", param=param, code="resource_missing")
    return customer


def mark_deleted(account: Account, customer: Obj) -> Obj:
    """Leave what Stripe leaves of a deleted customer: an id that says so."""
    emit(account, "customer.deleted", customer)
    return account.put({"id": customer["id"], "object": "customer", "deleted": True})
