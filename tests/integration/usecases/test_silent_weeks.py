"""Forty days in which no webhook came: one run knows what the events would have told."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billing.store.connection import close
from tests.support.lab import EVENTS, LISTING, Find, Lab
from tests.support.postgres import Databases
from tests.support.shop import Shop

DAY = 86_400
USERS = ("ann", "bob", "cid", "dee", "eve", "fay", "gil")


@pytest.fixture
def twin(shop: Shop, databases: Databases) -> Iterator[Shop]:
    """The same Stripe over another store, to which every event is told."""
    with databases.fresh() as database_url:
        yield shop.beside(database_url)
        close(database_url)


def live(shop: Shop, days: int, hear: Callable[[], None]) -> None:
    """Subscriptions bought, renewed, declined, changed, canceled; badges bought, given back, disputed."""
    pro = {user: shop.buy(user, "pro_monthly", 2) for user in ("ann", "bob", "cid", "dee")}
    badges = {user: shop.buy(user, "badge") for user in ("dee", "eve", "fay", "gil")}
    deeds: dict[int, Callable[[], object]] = {
        2: lambda: shop.double.control.refund(badges["eve"]),
        3: lambda: shop.double.control.open_dispute(badges["fay"]),
        4: lambda: shop.stripe.v1.subscriptions.update(pro["bob"], {"cancel_at_period_end": True}),
        5: lambda: shop.stripe.v1.subscriptions.cancel(pro["cid"]),
        6: lambda: shop.double.control.set_card(shop.customer("dee"), "decline"),
        8: lambda: shop.buy("gil", "pro_yearly"),
    }
    for day in range(days):
        deeds.get(day % days, lambda: None)()
        shop.double.control.advance_clock(advance_seconds=DAY)
        hear()


def answers(shop: Shop) -> dict[str, Any]:
    """What everybody may do, why, and until when."""
    told = ("allowed", "value", "reason", "valid_to")
    checks = {(user, feature): shop.check(user, feature) for user in USERS for feature in ("export", "seats", "badge")}
    return {f"{user}/{feature}": [answer[name] for name in told] for (user, feature), answer in checks.items()}


@pytest.mark.parametrize(("days", "finds"), [(40, (EVENTS, LISTING)), (40, (LISTING,)), (25, (EVENTS,))])
def test_one_run_makes_up_for_the_silence(shop: Shop, twin: Shop, days: int, finds: tuple[Find, ...]) -> None:
    lab = Lab(shop)
    heard: set[str] = set()

    def hear() -> None:
        fresh = [body for body in twin.events() if json.loads(body)["id"] not in heard]
        twin.apply(fresh)
        heard.update(json.loads(body)["id"] for body in fresh)

    live(shop, days, hear)
    lab.run(*finds)

    assert answers(shop) == answers(twin)
    assert [drift for find in finds for drift in lab.find(find)] == []
