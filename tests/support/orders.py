"""Every order of a history's events, on one real store: what each of them ends in.

The orders are walked as a tree: an event is applied, all that can follow is walked, and it is rolled back, so that a
beginning which many orders share is applied once. Where two beginnings of the same events come to the same rows, what
follows is the same too and is walked once. The whole walk is one transaction that is never committed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from stripe import StripeClient

from billing.payments.events import StripeEvent, parse_event
from billing.store.connection import Connection, current
from billing.usecases.apply_event import Worker, settle_event

# All rows that applying an event reads or leads to. What tells the order only is left out, for nothing is decided by
# it: the version, the revision, the event named as evidence, which events were `superseded`.
_STATE = """
SELECT md5(jsonb_build_array(
  (SELECT jsonb_agg(to_jsonb(s) - '{revision,observed_event}'::text[] - %(less)s::text[] ORDER BY id)
     FROM subscriptions AS s),
  (SELECT jsonb_agg(to_jsonb(i) ORDER BY id) FROM subscription_items AS i),
  (SELECT jsonb_agg(to_jsonb(v) ORDER BY id) FROM invoices AS v),
  (SELECT jsonb_agg(to_jsonb(p) - 'observed_event' ORDER BY session_id, line_item_id) FROM purchases AS p),
  (SELECT jsonb_agg(to_jsonb(c) ORDER BY id) FROM charges AS c),
  (SELECT jsonb_agg(to_jsonb(r) ORDER BY id) FROM refunds AS r),
  (SELECT jsonb_agg(to_jsonb(d) ORDER BY id) FROM disputes AS d),
  (SELECT jsonb_agg(to_jsonb(k) - 'revision' - %(less)s::text[] ORDER BY id) FROM stripe_customers AS k),
  (SELECT jsonb_agg(to_jsonb(o) - 'revision' - %(less)s::text[] ORDER BY id) FROM products AS o),
  (SELECT jsonb_agg(to_jsonb(r) - 'revision' - %(less)s::text[] ORDER BY id) FROM prices AS r),
  (SELECT jsonb_agg(to_jsonb(c) - '{version,changed_at,holdings}'::text[] || jsonb_build_object('holdings',
            (SELECT jsonb_agg(h - 'event' ORDER BY h ->> 'id') FROM jsonb_array_elements(holdings) AS h)) ORDER BY id)
     FROM customers AS c),
  (SELECT jsonb_agg(to_jsonb(t) ORDER BY id) FROM checkout_sessions AS t),
  (SELECT jsonb_agg(jsonb_build_array(event_id, status) ORDER BY event_id)
     FROM inbox WHERE status NOT IN ('applied', 'superseded'))
)::text)
"""


@dataclass
class Walk:
    """What came of walking all orders.

    `ends` counts the orders by the digest of the rows they end in, `example` has one order (event types) for each.
    `disturbed` names redeliveries that changed something.
    """

    ends: Counter[str] = field(default_factory=Counter)
    example: dict[str, list[str]] = field(default_factory=dict)
    disturbed: list[str] = field(default_factory=list)
    applications: int = 0
    states: int = 0


def walk_orders(worker: Worker, history: Sequence[bytes], *, merge: bool = True) -> Walk:
    """Apply the events in every order; at each step on the way, deliver again each that was delivered before.

    Without `merge`, beginnings that come to the same rows are walked on from separately: slow, to check the walk.
    """
    still = worker.now()
    stripe = cast("StripeClient", _RememberedStripe(worker.stripe))
    calm = replace(worker, stripe=stripe, now=lambda: still)
    walker = _Walker(calm, [(parse_event(body), body) for body in history], merge)
    with walker.connection.transaction(force_rollback=True):
        walker.walk.ends = walker.ends_of(())
    return walker.walk


def state_of(connection: Connection, *, watermarks: bool = False) -> str:
    """A digest of what the events so far have led to. Watermarks tell how it was learned, which orders differ in."""
    [(digest,)] = connection.execute(_STATE, {"less": [] if watermarks else ["watermark"]}).fetchall()
    return str(digest)


class _RememberedStripe:
    """Stripe's answers, each asked for once: the history is over, so they change no more."""

    def __init__(self, stripe: StripeClient) -> None:
        self._stripe = stripe
        self._answers: dict[str, Any] = {}

    def raw_request(self, method: str, path: str, **params: Any) -> Any:
        question = f"{method} {path} {sorted(params.items())}"
        if question not in self._answers:
            self._answers[question] = self._stripe.raw_request(method, path, **params)
        return self._answers[question]


class _Walker:
    def __init__(self, worker: Worker, events: list[tuple[StripeEvent, bytes]], merge: bool) -> None:
        self.worker = worker
        self.events = events
        self.merge = merge
        self.connection = current(worker.database_url)
        self.walk = Walk()
        self._walked: dict[tuple[frozenset[int], str], Counter[str]] = {}

    def ends_of(self, order: tuple[int, ...]) -> Counter[str]:
        """In how many orders that begin so the rest ends in which state. The store has `order` applied already."""
        state = state_of(self.connection, watermarks=True)
        key = (frozenset(order), state)
        if self.merge and key in self._walked:
            return self._walked[key]
        self.walk.states += 1
        self._redeliver(order, state)
        ends: Counter[str] = Counter()
        for place in range(len(self.events)):
            if place not in order:
                ends += self._after(order, place)
        self._walked[key] = ends or self._end(order)
        return self._walked[key]

    def _after(self, order: tuple[int, ...], place: int) -> Counter[str]:
        with self.connection.transaction(force_rollback=True):
            self._apply(place)
            return self.ends_of((*order, place))

    def _redeliver(self, order: tuple[int, ...], state: str) -> None:
        for place in order if self.merge else order[-1:]:
            with self.connection.transaction(force_rollback=True):
                self._apply(place)
                if state_of(self.connection, watermarks=True) != state:
                    self.walk.disturbed.append(f"{self._types((place,))} after {self._types(order)}")

    def _end(self, order: tuple[int, ...]) -> Counter[str]:
        end = state_of(self.connection)
        self.walk.example.setdefault(end, self._types(order))
        return Counter({end: 1})

    def _apply(self, place: int) -> None:
        settle_event(self.worker, *self.events[place])
        self.walk.applications += 1

    def _types(self, order: tuple[int, ...]) -> list[str]:
        return [self.events[place][0].type for place in order]
