"""A shop where Stripe, the store and the cache disagree in every way that a pass repairs, and an open run to repair it.

It is made once. Each life of a run begins with a copy of it: a database, a table; Stripe is only read from.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from billing.cache.client import Client, Item, batch_get, scan
from billing.cache.item import key_pk, snapshot_pk
from billing.domain import keys
from billing.store.connection import close, transaction
from billing.usecases.manage_projects import create_key, end_key
from billing.usecases.manage_runs import Wanted, open_run
from billing.usecases.operator import BILLING
from billing.usecases.refill_snapshot import refill_key
from tests.support.postgres import Databases
from tests.support.shop import Shop

MINUTES_LATER = timedelta(minutes=10)
"""After all that was done: news of the last seconds is left to its events."""


@dataclass(frozen=True)
class Scene:
    """`now`: the one moment at which everything of a run happens. `items`: what the cache holds before."""

    databases: Databases
    shop: Shop
    now: datetime
    items: Sequence[Item]

    @property
    def cache(self) -> Client:
        return self.shop.worker.publisher.cache

    @contextmanager
    def copy(self) -> Iterator[str]:
        """The URL of a database as it was; and the one table, again as it was."""
        original = urlsplit(self.shop.worker.database_url).path.removeprefix("/")
        known = {item["pk"]["S"] for item in self.items}
        writes: list[dict[str, Any]] = [{"PutRequest": {"Item": item}} for item in self.items]
        gone = [item["pk"] for item in self.cached() if item["pk"]["S"] not in known]
        writes += [{"DeleteRequest": {"Key": {"pk": pk}}} for pk in gone]
        self.cache.aws.call("BatchWriteItem", {"RequestItems": {self.cache.table: writes}})
        with self.databases.fresh(original) as url:
            yield url

    def cached(self) -> Sequence[Item]:
        return scan(self.cache, None, 100)[0]


def set_scene(databases: Databases, shop: Shop) -> Scene:
    """The shop's database must have no other user left: copies are made of it."""
    _sell(shop)
    _change_unheard(shop)
    _tamper_with_store(shop)
    _tamper_with_cache(shop)
    shop.double.control.advance_clock(advance_seconds=int(MINUTES_LATER.total_seconds()))
    shop.double.control.freeze_clock()
    now = datetime.fromtimestamp(shop.double.control.clock()["now"], UTC)
    with transaction(shop.worker.database_url) as connection:
        open_run(connection, Wanted(), None, now)
    close(shop.worker.database_url)
    items, _ = scan(shop.worker.publisher.cache, None, 100)
    return Scene(databases, shop, now, items)


def _sell(shop: Shop) -> None:
    """All of it is heard, applied and published."""
    for user in ("ann", "bob", "cem", "eve", "hal", "ida", "joe", "kim"):
        shop.buy(user, "pro_monthly")
    shop.apply(shop.events())


def _change_unheard(shop: Shop) -> None:
    """Of ann's loss and eve's badge there are events, of the others not even those."""
    control, now = shop.double.control, shop.double.control.clock()["now"]
    subscriptions = {name: _subscription(shop, name) for name in ("ann", "bob", "cem", "eve")}
    item = shop.stripe.v1.subscriptions.retrieve(subscriptions["cem"]).items.data[0].id
    shop.stripe.v1.subscriptions.cancel(subscriptions["ann"])
    shop.buy("eve", "badge")
    control.change_silently(subscriptions["bob"], {"status": "canceled", "ended_at": now})
    control.change_silently(item, {"quantity": 7})
    account = control._account
    with account.lock:
        account.remove(account.objects[subscriptions["eve"]])


def _tamper_with_store(shop: Shop) -> None:
    shop.rows("UPDATE products SET name = 'Contra' WHERE name = 'Pro'")
    shop.rows("UPDATE customers SET holdings = '[]' WHERE user_id = 'ida'")


def _tamper_with_cache(shop: Shop) -> None:
    """Each way in which an item can be wrong, of users whom the passes before do not publish anew."""
    key = _lose_revocation(shop)
    tag = keys.tag("notes")
    cache = shop.worker.publisher.cache
    wanted = [snapshot_pk(tag, user) for user in ("hal", "joe", "kim")]
    found = batch_get(cache, [*wanted, key_pk(key)])
    hal, joe, kim = (dict(found[pk]) for pk in wanted)
    del kim["v"]
    for item in (
        {**hal, "v": {"N": "900"}},
        {**joe, "v": {"N": "1"}},
        kim,
        {**hal, "pk": {"S": snapshot_pk(tag, "a stranger")}},
        {**found[key_pk(key)], "pk": {"S": key_pk(bytes(32))}},
    ):
        cache.aws.call("PutItem", {"TableName": cache.table, "Item": item})


def _lose_revocation(shop: Shop) -> bytes:
    """The digest of a key that is revoked in the store alone."""
    url, now = shop.worker.database_url, shop.worker.now()
    key = create_key(url, project_id="notes", name="server", mode="test")
    digest = keys.digest(key.secret)
    refill_key(url, shop.worker.publisher.cache, digest, now)
    with transaction(url) as connection:
        end_key(connection, "notes", key.id, BILLING, now)
        connection.execute("DELETE FROM outbox")
    return digest


def _subscription(shop: Shop, user_id: str) -> str:
    return str(shop.stripe.v1.subscriptions.list({"customer": shop.customer(user_id)}).data[0].id)
