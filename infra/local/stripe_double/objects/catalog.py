"""Products, prices and the older plans."""

from decimal import Decimal
from typing import Any

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import StripeFault, invalid
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import page_of, within
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import plan_of

_PRODUCT_FIELDS = ("active", "name", "description", "images", "url", "unit_label", "statement_descriptor", "shippable")


def create_product(account: Account, params: Params) -> Obj:
    if "id" in params and params["id"] in account.objects:
        raise invalid("Product already exists.", param="id", code="resource_already_exists")
    fields = {name: params[name] for name in (*_PRODUCT_FIELDS, "id", "marketing_features") if name in params}
    product = account.create(
        "product",
        **{"active": True, "type": "service", **fields},
        metadata=merged({}, params),
        tax_code=params.get("tax_code"),
        updated=account.clock.now(),
    )
    emit(account, "product.created", product)
    if "default_price_data" in params:
        price = create_price(account, {**params["default_price_data"], "product": product["id"]})
        product["default_price"] = price["id"]
    return account.put(product)


def retrieve_product(account: Account, _params: Params, product_id: str) -> Obj:
    return account.get("product", product_id)


def update_product(account: Account, params: Params, product_id: str) -> Obj:
    product = account.get("product", product_id)
    if params.get("default_price"):
        account.get("price", params["default_price"], param="default_price")
    with recorded(account, product, "product.updated"):
        for name in (*_PRODUCT_FIELDS, "marketing_features", "default_price"):
            if name in params:
                product[name] = params[name] if params[name] != "" else None
        product["metadata"] = merged(product["metadata"], params)
        product["updated"] = account.clock.now()
    return product


def delete_product(account: Account, _params: Params, product_id: str) -> Obj:
    product = account.get("product", product_id)
    if any(price["product"] == product_id for price in account.newest("price")):
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices.", code="resource_in_use"
        )
    account.remove(product)
    emit(account, "product.deleted", product)
    return {"id": product_id, "object": "product", "deleted": True}


def list_products(account: Account, params: Params) -> Obj:
    return page_of(account, "product", "/v1/products", params, lambda product: _product_fits(product, params))


def _product_fits(product: Obj, params: Params) -> bool:
    fits = all(
        within(product[name], params[name]) for name in ("active", "created", "url", "shippable") if name in params
    )
    return fits and ("ids" not in params or product["id"] in params["ids"])


def create_price(account: Account, params: Params) -> Obj:
    product_id = _product_of(account, params)
    billing_scheme = params.get("billing_scheme", "per_unit")
    amount = _amount(params) if billing_scheme == "per_unit" else {"unit_amount": None, "unit_amount_decimal": None}
    _take_lookup_key(account, params)
    price = account.create(
        "price",
        active=params.get("active", True),
        billing_scheme=billing_scheme,
        currency=_currency(params),
        lookup_key=params.get("lookup_key"),
        metadata=merged({}, params),
        nickname=params.get("nickname"),
        product=product_id,
        recurring=_recurring(params),
        tax_behavior=params.get("tax_behavior", "unspecified"),
        tiers_mode=params.get("tiers_mode"),
        transform_quantity=params.get("transform_quantity"),
        type="recurring" if "recurring" in params else "one_time",
        **amount,
    )
    if billing_scheme == "tiered":
        price["tiers"] = _tiers(params)
    price["currency_options"] = _currency_options(price, params)
    emit(account, "price.created", price)
    if price["type"] == "recurring":
        emit(account, "plan.created", plan_of(price))
    return account.put(price)


def _product_of(account: Account, params: Params) -> str:
    if "product_data" in params:
        return str(create_product(account, params["product_data"])["id"])
    if "product" not in params:
        raise invalid("Missing required param: product.", param="product", code="parameter_missing")
    product = account.get("product", params["product"], param="product")
    return str(product["id"])


def _currency(params: Params) -> str:
    if "currency" not in params:
        raise invalid("Missing required param: currency.", param="currency", code="parameter_missing")
    return str(params["currency"]).lower()


def _amount(params: Params) -> Obj:
    if "unit_amount_decimal" in params:
        exact = Decimal(params["unit_amount_decimal"])
    elif "unit_amount" in params:
        exact = Decimal(params["unit_amount"])
    else:
        raise invalid(
            "Prices require an `unit_amount` or `unit_amount_decimal` parameter to be set.",
            param="unit_amount",
            code="parameter_missing",
        )
    if exact < 0:
        raise invalid("Invalid non-negative integer", param="unit_amount", code="parameter_invalid_integer")
    whole = int(exact) if exact == exact.to_integral_value() else None
    return {"unit_amount": whole, "unit_amount_decimal": format(exact.normalize(), "f")}


def _recurring(params: Params) -> Obj | None:
    given = params.get("recurring")
    if given is None:
        return None
    return {
        "interval": given["interval"],
        "interval_count": given.get("interval_count", 1),
        "meter": given.get("meter"),
        "trial_period_days": given.get("trial_period_days"),
        "usage_type": given.get("usage_type", "licensed"),
    }


def _tiers(params: Params) -> list[Obj]:
    if "tiers" not in params or "tiers_mode" not in params:
        raise invalid("Tiered prices require `tiers` and `tiers_mode`.", param="tiers", code="parameter_missing")
    return [
        {
            "flat_amount": tier.get("flat_amount"),
            "flat_amount_decimal": _as_text(tier.get("flat_amount_decimal", tier.get("flat_amount"))),
            "unit_amount": tier.get("unit_amount"),
            "unit_amount_decimal": _as_text(tier.get("unit_amount_decimal", tier.get("unit_amount"))),
            "up_to": None if tier["up_to"] == "inf" else tier["up_to"],
        }
        for tier in params["tiers"]
    ]


def _as_text(amount: Any) -> str | None:
    return None if amount is None else str(amount)


def _currency_options(price: Obj, params: Params) -> Obj:
    def option(amount: Obj) -> Obj:
        return {"custom_unit_amount": None, "tax_behavior": "unspecified", **amount}

    own = {name: price[name] for name in ("unit_amount", "unit_amount_decimal")}
    others = params.get("currency_options", {})
    return {price["currency"]: option(own)} | {name: option(_amount(given)) for name, given in others.items()}


def _take_lookup_key(account: Account, params: Params) -> None:
    """Make sure that the new price alone has its lookup key."""
    wanted = params.get("lookup_key")
    holder = next((p for p in account.newest("price") if wanted and p["lookup_key"] == wanted), None)
    if holder is None:
        return
    if not params.get("transfer_lookup_key"):
        raise invalid(
            f"A price (`{holder['id']}`) already uses that lookup key. To transfer that lookup key to the new price, "
            "set `transfer_lookup_key` to `true`.",
            param="lookup_key",
        )
    with recorded(account, holder, "price.updated"):
        holder["lookup_key"] = None


def retrieve_price(account: Account, _params: Params, price_id: str) -> Obj:
    return account.get("price", price_id)


def update_price(account: Account, params: Params, price_id: str) -> Obj:
    price = account.get("price", price_id)
    if params.get("active") is False and account.get("product", price["product"])["default_price"] == price_id:
        raise invalid("This price cannot be archived because it is the default price of its product.", param="active")
    if params.get("lookup_key") and params["lookup_key"] != price["lookup_key"]:
        _take_lookup_key(account, params)
    with recorded(account, price, "price.updated"):
        for name in ("active", "nickname", "tax_behavior", "lookup_key"):
            if name in params:
                price[name] = params[name] if params[name] != "" else None
        price["metadata"] = merged(price["metadata"], params)
    return price


def list_prices(account: Account, params: Params) -> Obj:
    return page_of(account, "price", "/v1/prices", params, lambda price: _price_fits(price, params))


def _price_fits(price: Obj, params: Params) -> bool:
    plain = ("active", "created", "currency", "product", "type")
    recurring = price["recurring"] or {}
    return (
        all(within(price[name], params[name]) for name in plain if name in params)
        and all(recurring.get(name) == wanted for name, wanted in params.get("recurring", {}).items())
        and ("lookup_keys" not in params or price["lookup_key"] in params["lookup_keys"])
    )


def create_plan(account: Account, params: Params) -> Obj:
    """A plan is a price in older clothes: stored as a price, shown as a plan."""
    given = params.get("product")
    product = {"product_data": given} if isinstance(given, dict) else {"product": given}
    recurring = {name: params[name] for name in ("interval", "interval_count") if name in params}
    amount = {"unit_amount": params["amount"]} if "amount" in params else {}
    price = create_price(account, {"currency": params["currency"], "recurring": recurring, **product, **amount})
    return plan_of(price)


def purchasable(account: Account, price_id: str, *, param: str) -> Obj:
    """The active price; StripeFault 400 if there is none or it is archived."""
    price = account.get("price", price_id, param=param)
    if not price["active"]:
        raise StripeFault(
            400,
            "invalid_request_error",
            "The price specified is inactive. This field only accepts active prices.",
            param=param,
        )
    return price


def inline_price(account: Account, params: Params) -> Obj:
    """The price of a `price_data` parameter: made on the spot, inactive for others, as Stripe does."""
    price = create_price(account, params)
    price["active"] = False
    return account.put(price)
