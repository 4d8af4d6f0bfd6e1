"""Ids and secrets that look like Stripe's: a prefix and random letters and digits."""

import random
import string

_ALPHABET = string.ascii_letters + string.digits
_PREFIXES = {
    "billing_portal.configuration": "bpc_",
    "billing_portal.session": "bps_",
    "charge": "ch_",
    "checkout.session": "cs_test_",
    "customer": "cus_",
    "discount": "di_",
    "dispute": "du_",
    "event": "evt_",
    "invoice": "in_",
    "invoice_payment": "inpay_",
    "invoiceitem": "ii_",
    "item": "li_",
    "line_item": "il_",
    "payment_intent": "pi_",
    "payment_method": "pm_",
    "price": "price_",
    "product": "prod_",
    "refund": "re_",
    "request": "req_",
    "subscription": "sub_",
    "subscription_item": "si_",
    "webhook_endpoint": "we_",
}
KINDS = frozenset(_PREFIXES) - {"request"} | {"coupon", "plan"}
_SHORT = frozenset({"cus_", "prod_", "si_", "req_", "whsec_"})


class Ids:
    """A source of ids: unguessable, or (with a seed) the same ones in the same order each time."""

    def __init__(self, seed: int | None = None) -> None:
        # Seeded ids are for repeatable tests of a double that holds no secret worth guessing.
        self._random = random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311

    def new(self, kind: str) -> str:
        """A new id for an object type ("subscription" → "sub_1…")."""
        if kind == "coupon":
            return self.text(8).upper()
        prefix = _PREFIXES[kind]
        if kind == "checkout.session":
            return f"{prefix}a1{self.text(56)}"
        return prefix + (self.text(14) if prefix in _SHORT else f"1{self.text(23)}")

    def secret(self, prefix: str) -> str:
        return prefix + self.text(32)

    def text(self, length: int) -> str:
        return "".join(self._random.choices(_ALPHABET, k=length))
