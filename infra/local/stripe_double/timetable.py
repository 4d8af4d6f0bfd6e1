"""What happens by itself, when its time has come: renewals, expiries, retries, scheduled ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.local.stripe_double import billing, lifecycle
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.objects import checkout, checkout_payment

_JOBS: dict[str, Callable[[Account, str], None]] = {
    "cancel": lifecycle.cancel,
    "cycle": lifecycle.cycle,
    "decide_payment": checkout_payment.decide_by_time,
    "expire_incomplete": billing.expire_incomplete,
    "expire_session": checkout.expire_by_time,
    "finalize_invoice": billing.finalize_and_collect,
    "retry_invoice": billing.retry,
    "warn_trial": lifecycle.warn_trial,
}


@contextmanager
def turn(account: Account) -> Iterator[None]:
    """One piece of work on the account, alone: what fell due first, then the body, then all of it saved."""
    with account.lock:
        catch_up(account)
        try:
            yield
        finally:
            account.save()


def catch_up(account: Account) -> None:
    """Do what is due by now, in order of time, each at its own instant."""
    now = account.clock.now()
    before, account.current_request = account.current_request, {"id": None, "idempotency_key": None}
    while due := account.next_timer(until=now):
        instant, job, object_id = due
        with account.clock.standing_at(instant):
            _JOBS[job](account, object_id)
    account.current_request = before
