"""Payment methods: cards and debits, and Stripe's test tokens that stand for their behaviour."""

from typing import Literal

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid
from infra.local.stripe_double.events import emit, recorded
from infra.local.stripe_double.lists import listing
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj

# How a payment with the method goes; "processing" is decided days later.
Behaviour = Literal["ok", "decline", "dispute", "inquiry", "authenticate", "processing"]

_TOKENS: dict[str, Behaviour] = {
    "pm_card_visa": "ok",
    "pm_card_mastercard": "ok",
    "pm_card_bypassPending": "ok",
    "pm_card_visa_chargeDeclined": "decline",
    "pm_card_chargeDeclined": "decline",
    "pm_card_chargeCustomerFail": "decline",
    "pm_card_createDispute": "dispute",
    "pm_card_createDisputeInquiry": "inquiry",
    "pm_card_authenticationRequired": "authenticate",
    "pm_card_threeDSecure2Required": "authenticate",
}
_SOURCE_TOKENS = {"tok_visa": "pm_card_visa", "tok_chargeCustomerFail": "pm_card_chargeCustomerFail"}
# IBANs that Stripe's own examples let fail.
_FAILING_IBANS = ("AT861904300235473202", "IT60X0542811101000000123456")

list_methods = listing("payment_method", "/v1/payment_methods", customer="customer", type="type")


def create(account: Account, params: Params) -> Obj:
    kind = params.get("type", "card")
    if kind == "card":
        token = params.get("card", {}).get("token", "tok_visa")
        return new_card(account, _TOKENS[_SOURCE_TOKENS.get(token, "pm_card_visa")], params)
    if kind == "sepa_debit":
        return new_debit(account, params)
    raise invalid(f"The double knows the types card and sepa_debit, not {kind}.", param="type")


def new_card(account: Account, behaviour: Behaviour, params: Params | None = None) -> Obj:
    number = {"ok": "4242", "decline": "0341"}.get(behaviour, "3155")
    card = card_details(number) | {"display_brand": "visa", "networks": {"available": ["visa"], "preferred": None}}
    del card["network"]
    method = account.create(
        "payment_method", allow_redisplay="unspecified", card=card, metadata=merged({}, params or {}), type="card"
    )
    return _with_behaviour(account, method, behaviour, params or {})


def card_details(last4: str = "4242") -> Obj:
    return {
        "brand": "visa",
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "exp_month": 12,
        "exp_year": 2040,
        "fingerprint": "Xt5EWLLDS7FJjR1c",
        "funding": "credit",
        "last4": last4,
        "network": "visa",
        "wallet": None,
    }


def new_debit(account: Account, params: Params) -> Obj:
    iban = params.get("sepa_debit", {}).get("iban", "AT611904300234573201")
    debit = {"bank_code": iban[4:9], "branch_code": None, "country": iban[:2], "fingerprint": "h8mHSeGx2kPVfPCB"}
    method = account.create(
        "payment_method",
        allow_redisplay="unspecified",
        sepa_debit={**debit, "generated_from": None, "last4": iban[-4:]},
        metadata=merged({}, params),
        type="sepa_debit",
    )
    if "sepa_debit" in params:  # one of Stripe's test IBANs; without it a test decides the payment
        account.keep_facts(method["id"], fate="fails" if iban in _FAILING_IBANS else "succeeds")
    return _with_behaviour(account, method, "processing", params)


def _with_behaviour(account: Account, method: Obj, behaviour: Behaviour, params: Params) -> Obj:
    given = params.get("billing_details", {})
    method["billing_details"].update({name: value or None for name, value in given.items()})
    account.keep_facts(method["id"], behaviour=behaviour)
    return account.put(method)


def retrieve(account: Account, _params: Params, method_id: str) -> Obj:
    return resolve(account, method_id)


def resolve(account: Account, method_id: str, *, param: str = "id") -> Obj:
    """The method, or a new one if `method_id` is a test token such as `pm_card_visa`."""
    if method_id in _TOKENS:
        return new_card(account, _TOKENS[method_id])
    return account.get("payment_method", method_id, param=param)


def owned(account: Account, method_id: str, customer_id: str, *, param: str) -> Obj:
    """The customer's method; a test token names the one attached last."""
    if method_id in _TOKENS:
        return next(m for m in account.newest("payment_method") if m["customer"] == customer_id)
    method = account.get("payment_method", method_id, param=param)
    if method["customer"] != customer_id:
        raise invalid(
            f"The customer does not have a payment method with the ID {method_id}. "
            "The payment method must be attached to the customer.",
            param=param,
        )
    return method


def behaviour_of(account: Account, method: Obj) -> Behaviour:
    """How the next payment goes: what a test made of the customer's cards, else the method's own way."""
    behaviour: Behaviour = account.facts_of(method["id"])["behaviour"]
    if method["customer"] and method["type"] == "card":
        return account.facts_of(method["customer"]).get("card", behaviour)  # type: ignore[no-any-return]
    return behaviour


def attach(account: Account, params: Params, method_id: str) -> Obj:
    customer = account.get("customer", params["customer"], param="customer")
    method = resolve(account, method_id)
    method["customer"] = customer["id"]
    account.put(method)
    emit(account, "payment_method.attached", method)
    return method


def detach(account: Account, _params: Params, method_id: str) -> Obj:
    method = account.get("payment_method", method_id)
    former, method["customer"] = method["customer"], None
    account.put(method)
    emit(account, "payment_method.detached", method, {"customer": former})
    return method


def update(account: Account, params: Params, method_id: str) -> Obj:
    method = account.get("payment_method", method_id)
    with recorded(account, method, "payment_method.updated"):
        method["metadata"] = merged(method["metadata"], params)
        method["billing_details"].update(params.get("billing_details", {}))
    return method


def default_of(account: Account, customer_id: str, subscription: Obj | None = None) -> Obj | None:
    """The method Stripe would charge: the subscription's, else the customer's default."""
    customer = account.get("customer", customer_id)
    chosen = (subscription or {}).get("default_payment_method")
    chosen = chosen or customer.get("invoice_settings", {}).get("default_payment_method")
    return account.objects.get(chosen) if chosen else None


def used(method: Obj) -> Obj:
    """The method's details as a charge repeats them."""
    if method["type"] == "sepa_debit":
        names = ("bank_code", "branch_code", "country", "fingerprint", "last4")
        return {"mandate": None, **{name: method["sepa_debit"][name] for name in names}}
    return {**card_details(method["card"]["last4"]), "installments": None, "mandate": None, "three_d_secure": None}
