"""A Stripe account: its objects, and what the double knows beyond them. One lock guards all of it."""

import heapq
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.local.stripe_double.clock import Clock
from infra.local.stripe_double.errors import missing
from infra.local.stripe_double.faults import Faults
from infra.local.stripe_double.ids import Ids
from infra.local.stripe_double.journal import Journal, Spaces
from infra.local.stripe_double.tables import Table
from infra.local.stripe_double.templates import Obj, new

_REQUESTS_KEPT = 20_000


class Account:
    """State in memory, mirrored to `state_file` if given. Take `lock` around every use."""

    def __init__(self, *, seed: int | None = None, state_file: Path | None = None) -> None:
        self.lock = threading.RLock()
        # Told whenever there may be a delivery to make or one has been made.
        self.deliveries_changed = threading.Condition(self.lock)
        self.clock = Clock()
        self.ids = Ids(seed)
        self.faults = Faults()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
        self.url = ""  # where the hosted pages are; set when the server listens
        self.current_request: dict[str, str | None] = {"id": None, "idempotency_key": None}
        self._journal = Journal(state_file)
        self._fill(self._journal.open())

    def _fill(self, saved: Spaces) -> None:
        self.objects: dict[str, Obj] = {}
        self._tables: defaultdict[str, Table] = defaultdict(Table)
        for obj in saved.get("objects", {}).values():
            self._index(obj)
        self.facts: dict[str, Obj] = saved.get("facts", {})
        self.idempotency: dict[str, Obj] = saved.get("idempotency", {})
        self.deliveries: dict[str, Obj] = saved.get("deliveries", {})
        self.new_deliveries: deque[Obj] = deque()
        self._timers: dict[str, int] = saved.get("timers", {})
        self._timetable = [(instant, name) for name, instant in self._timers.items()]
        heapq.heapify(self._timetable)
        if "clock" in saved.get("settings", {}):
            self.clock.set(saved["settings"]["clock"])
        self._saved_settings: Obj = saved.get("settings", {})
        self.settings: Obj = saved.get("settings", {}).get("account", {})

    def reset(self) -> None:
        """Forget everything but the address: as on the first day."""
        for space in ("objects", "facts", "idempotency", "deliveries"):
            for key in list(getattr(self, space)):
                self._journal.note(space, key, None)
        for name in self._timers:
            self._journal.note("timers", name, None)
        self.clock.set({"offset": 0.0, "frozen_at": None})
        self.faults.clear()
        self.requests.clear()
        self._fill({})

    def save(self) -> None:
        """Write down what changed; called at the end of each piece of work, before it is answered."""
        settings = {"clock": self.clock.reading(), "account": dict(self.settings)}
        for name, value in settings.items():
            if value != self._saved_settings.get(name):
                self._journal.note("settings", name, value)
        self._saved_settings = settings
        self._journal.commit()

    def close(self) -> None:
        self._journal.close()

    # ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, kind: str, **fields: Any) -> Obj:
        """A new object of `kind`, stored, with an id and `created` unless given."""
        return self.create_undated(kind, **{"created": self.clock.now(), **fields})

    def create_undated(self, kind: str, **fields: Any) -> Obj:
        """A new object of a kind without `created` (discounts, invoice items)."""
        return self.put(new(kind, **{"id": self.ids.new(kind), **fields}))

    def put(self, obj: Obj) -> Obj:
        self._index(obj)
        self._journal.note("objects", obj["id"], obj)
        return obj

    def remove(self, obj: Obj) -> None:
        del self.objects[obj["id"]]
        self._tables[obj["object"]].remove(obj["id"])
        self._journal.note("objects", obj["id"], None)

    def _index(self, obj: Obj) -> None:
        self.objects[obj["id"]] = obj
        self._tables[obj["object"]].put(obj)

    def table(self, kind: str) -> dict[str, Obj]:
        """All objects of a type by id, oldest first."""
        return self._tables[kind].by_id

    def get(self, kind: str, object_id: str, *, param: str = "id") -> Obj:
        """The object; StripeFault resource_missing (404, or 400 naming `param`) if there is none."""
        obj = self._tables[kind].by_id.get(object_id)
        if obj is None or (param != "id" and obj.get("deleted")):
            raise missing(kind, object_id, param=param)
        return obj

    def newest(self, kind: str, *, before: str | None = None) -> Iterator[Obj]:
        """All objects of a type, newest first; those made before the one with the id `before`, if given."""
        return self._tables[kind].newest(before)

    def oldest(self, kind: str, *, after: str) -> Iterator[Obj]:
        """The objects of a type that were made after the one with the id `after`, oldest first."""
        return self._tables[kind].oldest(after)

    # ── what only the double knows ───────────────────────────────────────────────────────────────────────────────

    def facts_of(self, object_id: str) -> Obj:
        """The double's own notes on an object (its items, its card's behaviour); keep them by `keep_facts`."""
        return self.facts.setdefault(object_id, {})

    def keep_facts(self, object_id: str, **facts: Any) -> None:
        self.facts_of(object_id).update(facts)
        self._journal.note("facts", object_id, self.facts[object_id])

    def keep_idempotency(self, key: str, entry: Obj | None) -> None:
        if entry is None:
            del self.idempotency[key]
        else:
            self.idempotency[key] = entry
        self._journal.note("idempotency", key, entry)

    def keep_delivery(self, delivery: Obj) -> None:
        self.deliveries[delivery["id"]] = delivery
        self._journal.note("deliveries", delivery["id"], delivery)

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────────────

    def set_timer(self, job: str, object_id: str, instant: int | None) -> None:
        """Have `job` done to the object at `instant`; one timer per job and object; None cancels it."""
        name = f"{job}:{object_id}"
        if instant is None:
            self._timers.pop(name, None)
        else:
            self._timers[name] = instant
            heapq.heappush(self._timetable, (instant, name))
        self._journal.note("timers", name, instant)

    def next_timer(self, until: int) -> tuple[int, str, str] | None:
        """Take the earliest timer due at or before `until`: (instant, job, object id)."""
        while self._timetable and self._timetable[0][0] <= until:
            instant, name = heapq.heappop(self._timetable)
            if self._timers.get(name) == instant:
                job, _, object_id = name.partition(":")
                self.set_timer(job, object_id, None)
                return instant, job, object_id
        return None
