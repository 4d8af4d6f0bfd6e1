"""Billing portal: its configurations, its sessions, and what a customer does there."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid, missing
from infra.local.stripe_double.events import emit
from infra.local.stripe_double.lists import listing
from infra.local.stripe_double.objects import customers, subscriptions
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj

list_configurations = listing(
    "billing_portal.configuration", "/v1/billing_portal/configurations", active="active", is_default="is_default"
)

_FEATURES: Obj = {
    "customer_update": {"allowed_updates": ["email"], "enabled": True},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "feedback_options": None, "options": ["too_expensive", "other"]},
        "enabled": True,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": ["price", "quantity"],
        "enabled": True,
        "products": [],
        "proration_behavior": "create_prorations",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "continue_trial",
    },
}


def create_configuration(account: Account, params: Params) -> Obj:
    configuration = _new_configuration(account, params, is_default=False)
    emit(account, "billing_portal.configuration.created", configuration)
    return configuration


def _new_configuration(account: Account, params: Params, *, is_default: bool) -> Obj:
    return account.create(
        "billing_portal.configuration",
        active=True,
        business_profile=_profile(params),
        default_return_url=params.get("default_return_url") or None,
        features=_features(_FEATURES if is_default else _all_off(), params),
        is_default=is_default,
        login_page={"enabled": False, "url": None},
        metadata=merged({}, params),
        name=params.get("name") or None,
        updated=account.clock.now(),
    )


def _profile(params: Params) -> Obj:
    given = params.get("business_profile") or {}
    return {name: given.get(name) for name in ("headline", "privacy_policy_url", "terms_of_service_url")}


def _all_off() -> Obj:
    return {name: {**feature, "enabled": False} for name, feature in _FEATURES.items()}


def _features(features: Obj, params: Params) -> Obj:
    """The features with what the parameters change in them, one level down."""
    given = params.get("features", {})
    return {name: {**feature, **given.get(name, {})} for name, feature in features.items()}


def retrieve_configuration(account: Account, _params: Params, configuration_id: str) -> Obj:
    return account.get("billing_portal.configuration", configuration_id)


def update_configuration(account: Account, params: Params, configuration_id: str) -> Obj:
    configuration = account.get("billing_portal.configuration", configuration_id)
    configuration["features"] = _features(configuration["features"], params)
    configuration["active"] = params.get("active", configuration["active"])
    configuration["metadata"] = merged(configuration["metadata"], params)
    configuration["updated"] = account.clock.now()
    if "business_profile" in params:
        configuration["business_profile"] = _profile(params)
    account.put(configuration)
    emit(account, "billing_portal.configuration.updated", configuration)
    return configuration


def create_session(account: Account, params: Params) -> Obj:
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    customer = customers.living(account, params["customer"], param="customer")
    configuration = _configuration(account, params)
    session_id = account.ids.new("billing_portal.session")
    session = account.create(
        "billing_portal.session",
        id=session_id,
        configuration=configuration["id"],
        customer=customer["id"],
        flow=_flow(params),
        locale=params.get("locale"),
        return_url=params.get("return_url") or configuration["default_return_url"],
    )
    emit(account, "billing_portal.session.created", session)
    return session


def _configuration(account: Account, params: Params) -> Obj:
    if "configuration" in params:
        return account.get("billing_portal.configuration", params["configuration"], param="configuration")
    if account.settings.get("portal_missing"):
        raise invalid(
            "No configuration provided and your test mode default configuration has not been created. Provide a "
            "configuration or create your default by saving your customer portal settings in test mode at "
            "https://dashboard.stripe.com/test/settings/billing/portal."
        )
    known = (c for c in account.table("billing_portal.configuration").values() if c["is_default"])
    return next(known, None) or _new_configuration(account, {}, is_default=True)


def _flow(params: Params) -> Obj | None:
    given = params.get("flow_data")
    if given is None:
        return None
    after = {
        "type": "portal_homepage",
        "hosted_confirmation": None,
        "redirect": None,
        **given.get("after_completion", {}),
    }
    blank = dict.fromkeys(("subscription_cancel", "subscription_update", "subscription_update_confirm"))
    return {**blank, **given, "after_completion": after}


# ── what the customer does there ─────────────────────────────────────────────────────────────────────────────────


def actions(account: Account, session: Obj, subscription: Obj) -> list[str]:
    """What the session's configuration and the subscription's state let the customer do."""
    features = account.get("billing_portal.configuration", session["configuration"])["features"]
    status = subscription["status"]
    if status == "paused":
        return ["resume"]
    if status not in {"active", "trialing", "past_due"}:
        return []
    allowed = features["subscription_update"]["default_allowed_updates"] or []
    offered = [f"change_{name}" for name in ("plan", "quantity") if {"plan": "price"}.get(name, name) in allowed]
    if not features["subscription_update"]["enabled"]:
        offered = []
    if subscription["cancel_at"]:
        return [*offered, "renew", "cancel_now"]
    ends = ["cancel_at_period_end", "cancel_now"] if features["subscription_cancel"]["enabled"] else []
    return [*offered, *ends]


def plans(account: Account) -> list[Obj]:
    """The prices a customer can change to, oldest first: every active recurring one."""
    return [p for p in account.table("price").values() if p["active"] and p["type"] == "recurring"]


def act(account: Account, session: Obj, action: str, subscription_id: str, choice: Params) -> Obj:
    """Do it. StripeFault 400 if the customer's subscription cannot be changed so.

    A cancellation at the period's end sets `cancel_at` alone, as the real portal does under flexible billing.
    """
    subscription = account.get("subscription", subscription_id)
    if subscription["customer"] != session["customer"]:
        raise missing("subscription", subscription_id)
    if action not in actions(account, session, subscription):
        raise invalid(f"{action} is not offered for a subscription that is {subscription['status']}.", param="action")
    item_id = account.facts_of(subscription_id)["items"][0]
    match action:
        case "cancel_now":
            return subscriptions.cancel(account, {}, subscription_id)
        case "cancel_at_period_end":
            return subscriptions.update(account, {"cancel_at": "min_period_end"}, subscription_id)
        case "renew":
            return subscriptions.update(account, {"cancel_at": ""}, subscription_id)
        case "resume":
            return subscriptions.resume(account, {}, subscription_id)
        case _:
            wanted = {name: value for name, value in choice.items() if value is not None}
            return subscriptions.update(account, {"items": [{"id": item_id, **wanted}]}, subscription_id)
