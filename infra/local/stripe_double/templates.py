"""New objects with every field Stripe would send, taken from the SDK's description of the type."""

import json
from functools import cache
from typing import Any

from infra.local.stripe_double.schemas import Schema, object_fields

Obj = dict[str, Any]

# Fields that the API sends only when asked (`expand`), only for some objects, or only of a deleted one.
_NOT_BY_DEFAULT = {
    "charge": {"refunds", "level3", "transfer", "radar_options", "authorization_code", "source"},
    "checkout.session": {"line_items", "optional_items", "name_collection", "return_url", "redirect_on_completion"},
    "coupon": {"applies_to", "currency_options"},
    "customer": {"sources", "subscriptions", "tax_ids", "cash_balance", "invoice_credit_balance", "tax"},
    "event": {"account", "context"},
    "invoice": {"payments", "confirmation_secret", "threshold_reason"},
    "payment_intent": {"hooks", "payment_details", "payment_record", "source"},
    "plan": {"tiers"},
    "price": {"currency_options", "tiers"},
    "webhook_endpoint": {"secret"},
}
_NEVER = {"deleted", "presentment_details"}
# Of a payment method's fifty optional fields only these are there for every type.
_ONLY = {"payment_method": {"allow_redisplay", "customer", "customer_account", "metadata"}}
# Fields made anew at each showing (views.py), so not stored.
_SHOWN_LATER = {
    "subscription": {"items"},
    "subscription_item": {"plan"},
    "invoice": {"lines"},
    "billing_portal.session": {"url"},
}


def new(kind: str, **fields: Any) -> Obj:
    """An object of type `kind` ("checkout.session"): `fields`, and null, [], {} or false for what is left.

    ValueError names a field that Stripe always fills and `fields` lacks: text, numbers, enumerations.
    """
    unknown = fields.keys() - object_fields(kind)["properties"].keys()
    if unknown:
        raise ValueError(f"a {kind} has no field {sorted(unknown)} in the installed SDK")
    blank: Obj = json.loads(_blank(kind))
    blank.update(fields)
    unset = _demanded(kind) - fields.keys()
    if unset:
        raise ValueError(f"a new {kind} needs a value for {sorted(unset)}")
    return {"id": blank.pop("id", None), "object": kind, **blank}


@cache
def _blank(kind: str) -> str:
    """The blank object as JSON: parsing it anew is the fastest way to copy it."""
    fields = object_fields(kind)
    left_out = _NOT_BY_DEFAULT.get(kind, set()) | _NEVER
    if kind in _ONLY:
        left_out |= fields["properties"].keys() - _ONLY[kind] - set(fields["required"])
    return json.dumps(_filled(fields, left_out))


@cache
def _demanded(kind: str) -> frozenset[str]:
    fields = object_fields(kind)
    empty = {name for name in fields["required"] if _default(fields["properties"][name]) is ...}
    return frozenset(empty - _SHOWN_LATER.get(kind, set()))


def _filled(schema: Schema, left_out: set[str]) -> Obj:
    filled = {}
    for name, field in schema["properties"].items():
        if name in left_out:
            continue
        value = None if name not in schema["required"] else _default(field)
        if value is not ...:
            filled[name] = value
    return filled


def _default(schema: Schema) -> Any:
    """The empty value of a field that is always sent; `...` where there is none."""
    match schema.get("type"):
        case "boolean":
            return False
        case "array":
            return []
        case "object" if "properties" not in schema:
            return {}
        case "object" if "data" not in schema["properties"]:
            inner = _filled(schema, _NEVER)
            return inner if set(schema["required"]) <= inner.keys() else ...
        case _:
            only = schema.get("enum", [])
            return only[0] if len(only) == 1 else ...
