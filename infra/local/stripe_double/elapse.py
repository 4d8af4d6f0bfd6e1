"""Time that passes for one subscription only: the double's clock, and everybody else's, stays where it is."""

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.lifecycle import period_end, schedule
from infra.local.stripe_double.timetable import catch_up
from infra.local.stripe_double.views import items_of


def end_period(account: Account, subscription_id: str) -> None:
    """Have the subscription's present period (or trial) end now; what was to happen at its end happens at once.

    Receivers that compare windows with real time then see a past end, as they would after really waiting. Moving the
    clock instead would put every later checkout into their future.
    """
    subscription = account.get("subscription", subscription_id)
    now, end = account.clock.now(), period_end(account, subscription)
    for item in items_of(account, subscription_id):
        item["current_period_end"] = now
        account.put(item)
    for member in ("cancel_at", "trial_end"):
        if subscription[member] == end:
            subscription[member] = now
    account.put(subscription)
    schedule(account, subscription)
    catch_up(account)
