"""Billing and entitlements from a micro-app: may this user use this feature, and where do they pay for it?

    from billing_client import BillingClient

    billing = BillingClient("https://billing.example", key)
    if billing.check("ada", "export"):
        ...

What is exported here is this package's whole promise; modules may move under it.
"""

from billing_client.aio import AsyncBillingClient
from billing_client.answers import Check, Checkout, Entitlement, Entitlements, Synced, Token
from billing_client.client import BillingClient
from billing_client.errors import BadToken, BillingError, FieldFault, Refused, Unavailable
from billing_client.options import Options, Patience
from billing_client.policies import Closed, LastKnown, Open, Policy, Raise

__all__ = [
    "AsyncBillingClient",
    "BadToken",
    "BillingClient",
    "BillingError",
    "Check",
    "Checkout",
    "Closed",
    "Entitlement",
    "Entitlements",
    "FieldFault",
    "LastKnown",
    "Open",
    "Options",
    "Patience",
    "Policy",
    "Raise",
    "Refused",
    "Synced",
    "Token",
    "Unavailable",
]
