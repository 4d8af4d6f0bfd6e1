"""Deleting a customer ends what the customer has."""

from infra.local.stripe_double import billing
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.objects import customers
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj

_OVER = {"canceled", "incomplete_expired"}


def delete(account: Account, _params: Params, customer_id: str) -> Obj:
    """Cancel the customer's subscriptions, then delete: only `{id, object, deleted}` can be read afterwards."""
    customer = customers.living(account, customer_id)
    for subscription in list(account.table("subscription").values()):
        if subscription["customer"] == customer_id and subscription["status"] not in _OVER:
            billing.end(account, subscription, reason="cancellation_requested")
    return customers.mark_deleted(account, customer)
