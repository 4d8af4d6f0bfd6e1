"""Subscriptions through the API: create, change, cancel, resume, list."""

from typing import Any

from infra.local.stripe_double import billing, lifecycle
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import StripeFault, invalid
from infra.local.stripe_double.events import recorded
from infra.local.stripe_double.lists import in_time, page_of, within
from infra.local.stripe_double.objects import changes, coupons, customers, items, methods
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.periods import DAY, next_boundary
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import items_of


def create(account: Account, params: Params) -> Obj:
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    customer = customers.living(account, params["customer"], param="customer")
    if not params.get("items"):
        raise invalid("Missing required param: items.", param="items", code="parameter_missing")
    wanted = [
        (items.recurring_price_of(account, entry, param=f"items[{index}]"), entry)
        for index, entry in enumerate(params["items"])
    ]
    method = _chosen_method(account, customer, params)
    behavior = params.get("payment_behavior", "allow_incomplete")
    if method is None and behavior != "default_incomplete" and _charges_now(params):
        raise StripeFault(
            400,
            "invalid_request_error",
            "This customer has no attached payment source or default payment method. Please consider adding a default "
            "payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods",
            code="resource_missing",
        )
    collect = behavior != "default_incomplete" and params.get("collection_method") != "send_invoice"
    return start(account, customer, wanted, params, method=method, collect=collect)


def _charges_now(params: Params) -> bool:
    trial = "trial_period_days" in params or isinstance(params.get("trial_end"), int)
    return not trial and params.get("collection_method") != "send_invoice"


def _chosen_method(account: Account, customer: Obj, params: Params) -> Obj | None:
    chosen = params.get("default_payment_method")
    if chosen:
        return methods.owned(account, chosen, customer["id"], param="default_payment_method")
    return methods.default_of(account, customer["id"])


def start(
    account: Account,
    customer: Obj,
    wanted: list[tuple[Obj, Params]],
    terms: Params,
    *,
    method: Obj | None,
    collect: bool,
    extra_lines: list[Obj] | None = None,
) -> Obj:
    """A new subscription to `wanted` (prices with their item parameters) and its first invoice.

    `terms` are parameters of `subscriptions.create`; `collect` tries to have the invoice paid now.
    """
    _check(account, wanted, terms)
    now = account.clock.now()
    trial_end = _trial_end(account, terms)
    recurring = wanted[0][0]["recurring"]
    end = trial_end or next_boundary(now, now, recurring)
    subscription = account.create("subscription", **_first_state(customer, terms, now, trial_end), **_settled(terms))
    subscription["currency"] = wanted[0][0]["currency"]
    subscription["metadata"] = merged({}, terms)
    for price, entry in wanted:
        items.add(account, subscription, price, entry, (now, end))
    if terms.get("default_payment_method") and method:
        subscription["default_payment_method"] = method["id"]
    subscription["discounts"] = [coupons.redeem(account, d, subscription)["id"] for d in terms.get("discounts") or []]
    _schedule_end(account, subscription, terms)
    account.put(subscription)
    _settle_currency(account, customer, subscription["currency"])
    lifecycle.begin(account, subscription, extra_lines or [], method, collect=collect)
    return subscription


def _check(account: Account, wanted: list[tuple[Obj, Params]], terms: Params) -> None:
    """Refuse now what would fail half way."""
    changes.require_one_interval([price for price, _ in wanted])
    for discount in terms.get("discounts") or []:
        account.get("coupon", discount.get("coupon", ""), param="discounts[0][coupon]")


def _trial_end(account: Account, terms: Params) -> int | None:
    if "trial_period_days" in terms:
        return int(account.clock.now() + terms["trial_period_days"] * DAY) if terms["trial_period_days"] else None
    given = terms.get("trial_end")
    if given in (None, "now"):
        return None
    if given <= account.clock.now():
        raise invalid("trial_end: Timestamp must be an integer Unix timestamp in the future.", param="trial_end")
    return int(given)


def _first_state(customer: Obj, terms: Params, now: int, trial_end: int | None) -> Obj:
    return {
        "billing_cycle_anchor": trial_end or now,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "currency": "usd",
        "customer": customer["id"],
        "days_until_due": terms.get("days_until_due"),
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "start_date": now,
        "status": "trialing" if trial_end else "incomplete",
        "trial_end": trial_end,
        "trial_start": now if trial_end else None,
        "default_tax_rates": [],
    }


def _settled(terms: Params) -> Obj:
    """Settings of a subscription with Stripe's defaults."""
    return {
        "collection_method": terms.get("collection_method", "charge_automatically"),
        "description": terms.get("description"),
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
            **terms.get("payment_settings", {}),
        },
        "trial_settings": terms.get("trial_settings", {"end_behavior": {"missing_payment_method": "create_invoice"}}),
    }


def _settle_currency(account: Account, customer: Obj, currency: str) -> None:
    with recorded(account, customer, "customer.updated"):
        customer["currency"] = customer["currency"] or currency


def _schedule_end(account: Account, subscription: Obj, params: Params) -> None:
    """`cancel_at_period_end` and `cancel_at`: set, moved or taken back."""
    now = account.clock.now()
    if params.get("cancel_at_period_end"):
        subscription.update(cancel_at_period_end=True, cancel_at=lifecycle.period_end(account, subscription))
    elif params.get("cancel_at"):
        subscription.update(cancel_at_period_end=False, cancel_at=_instant(account, subscription, params["cancel_at"]))
    elif params.get("cancel_at") == "" or "cancel_at_period_end" in params:
        subscription.update(cancel_at_period_end=False, cancel_at=None, canceled_at=None)
        subscription["cancellation_details"]["reason"] = None
        return
    else:
        return
    subscription["canceled_at"] = now
    subscription["cancellation_details"]["reason"] = "cancellation_requested"


def _instant(account: Account, subscription: Obj, wanted: Any) -> int:
    if wanted in {"min_period_end", "max_period_end"}:
        return lifecycle.period_end(account, subscription)
    if wanted <= account.clock.now():
        raise invalid("cancel_at must be in the future.", param="cancel_at")
    return int(wanted)


def retrieve(account: Account, _params: Params, subscription_id: str) -> Obj:
    return account.get("subscription", subscription_id)


def update(account: Account, params: Params, subscription_id: str) -> Obj:
    subscription = account.get("subscription", subscription_id)
    if subscription["status"] in {"canceled", "incomplete_expired"}:
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata.", code="resource_missing"
        )
    if "cancel_at_period_end" in params and params.get("cancel_at"):
        raise invalid("You may only specify one of: cancel_at, cancel_at_period_end.", param="cancel_at")
    if params.get("trial_end") == "now" and subscription["status"] == "trialing":
        _end_trial_now(account, subscription)
    with recorded(account, subscription, "customer.subscription.updated"):
        _set_plainly(account, subscription, params)
        _schedule_end(account, subscription, params)
        invoice_now = changes.change_items(account, subscription, params)
    if subscription["status"] not in {"paused", "canceled"}:
        lifecycle.schedule(account, subscription)
    if invoice_now:
        changes.invoice_changes(account, subscription)
    return subscription


def _end_trial_now(account: Account, subscription: Obj) -> None:
    now = account.clock.now()
    for item in items_of(account, subscription["id"]):
        item["current_period_end"] = now
        account.put(item)
    subscription["trial_end"] = now
    lifecycle.end_trial(account, subscription)


def _set_plainly(account: Account, subscription: Obj, params: Params) -> None:
    subscription["metadata"] = merged(subscription["metadata"], params)
    for name in ("description", "collection_method", "days_until_due", "trial_settings"):
        if name in params:
            subscription[name] = params[name] if params[name] != "" else None
    for name in ("cancellation_details", "payment_settings"):
        subscription[name].update(params.get(name, {}))
    if params.get("default_payment_method"):
        owned = methods.owned(account, params["default_payment_method"], subscription["customer"], param="items")
        subscription["default_payment_method"] = owned["id"]
    if "pause_collection" in params:
        pause = params["pause_collection"]
        subscription["pause_collection"] = {"resumes_at": None, **pause} if pause else None
    if "discounts" in params:
        subscription["discounts"] = [
            coupons.redeem(account, entry, subscription)["id"] for entry in params["discounts"] or []
        ]
    if isinstance(params.get("trial_end"), int):
        _move_trial(account, subscription, params)


def _move_trial(account: Account, subscription: Obj, params: Params) -> None:
    end = _trial_end(account, params)
    now = account.clock.now()
    start = subscription["trial_start"] if subscription["status"] == "trialing" else now
    subscription.update(status="trialing", trial_start=start, trial_end=end, billing_cycle_anchor=end)
    for item in items_of(account, subscription["id"]):
        item.update(current_period_start=start, current_period_end=end)
        account.put(item)


def cancel(account: Account, params: Params, subscription_id: str) -> Obj:
    subscription = account.get("subscription", subscription_id)
    if subscription["status"] in {"canceled", "incomplete_expired"}:
        raise StripeFault(
            404,
            "invalid_request_error",
            f"No such subscription: '{subscription_id}'",
            code="resource_missing",
            param="id",
        )
    subscription["cancellation_details"].update(params.get("cancellation_details", {}))
    subscription["canceled_at"] = account.clock.now()
    billing.end(account, subscription, reason="cancellation_requested")
    return subscription


def resume(account: Account, params: Params, subscription_id: str) -> Obj:
    subscription = account.get("subscription", subscription_id)
    if subscription["status"] != "paused":
        raise invalid(f"Only paused subscriptions can be resumed; {subscription_id} is {subscription['status']}.")
    anchor = params.get("billing_cycle_anchor", "now")
    lifecycle.resume(account, subscription, anew=anchor != "unchanged")
    return subscription


def list_subscriptions(account: Account, params: Params) -> Obj:
    """Without `status` canceled ones are left out; `all` shows every one, `ended` those that are over."""
    return page_of(account, "subscription", "/v1/subscriptions", params, lambda one: _fits(account, one, params))


def _fits(account: Account, subscription: Obj, params: Params) -> bool:
    over = subscription["status"] in {"canceled", "incomplete_expired"}
    match params.get("status"):
        case None:
            shown = not over
        case "all":
            shown = True
        case "ended":
            shown = over
        case status:
            shown = subscription["status"] == status
    plain = ("customer", "created", "collection_method")
    return (
        shown
        and in_time(subscription, params)
        and all(within(subscription[name], params[name]) for name in plain if name in params)
        and _items_fit(account, subscription, params)
    )


def _items_fit(account: Account, subscription: Obj, params: Params) -> bool:
    wanted = {name: params[name] for name in ("current_period_start", "current_period_end") if name in params}
    price = params.get("price") or params.get("plan")
    if not wanted and not price:
        return True
    return any(
        (not price or item["price"] == price) and all(within(item[name], value) for name, value in wanted.items())
        for item in items_of(account, subscription["id"])
    )
