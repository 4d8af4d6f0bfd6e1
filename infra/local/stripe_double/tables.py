"""The objects of one type, in the order in which they were made; the order can be entered at any of them.

So a page of a list costs what the page holds, however long the list is.
"""

from collections.abc import Iterator

from infra.local.stripe_double.templates import Obj


class Table:
    """`by_id`: all of them, oldest first; read it, and change it by `put` and `remove` alone."""

    def __init__(self) -> None:
        self.by_id: dict[str, Obj] = {}
        # What is removed leaves a hole behind, for places never move.
        self._order: list[Obj | None] = []
        self._places: dict[str, int] = {}

    def put(self, obj: Obj) -> None:
        """As the newest if it is new, else in its former place."""
        object_id = obj["id"]
        place = self._places.setdefault(object_id, len(self._order))
        if place == len(self._order):
            self._order.append(obj)
        self._order[place] = self.by_id[object_id] = obj

    def remove(self, object_id: str) -> None:
        del self.by_id[object_id]
        self._order[self._places.pop(object_id)] = None

    def newest(self, before: str | None = None) -> Iterator[Obj]:
        """Newest first; those made before the one with the id `before`, if given. KeyError if it is not there."""
        start = len(self._order) if before is None else self._places[before]
        return self._present(range(start - 1, -1, -1))

    def oldest(self, after: str) -> Iterator[Obj]:
        """Oldest first, those made after the one with the id `after`. KeyError if it is not there."""
        return self._present(range(self._places[after] + 1, len(self._order)))

    def _present(self, places: range) -> Iterator[Obj]:
        return (obj for obj in map(self._order.__getitem__, places) if obj is not None)
