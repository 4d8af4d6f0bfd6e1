"""Answers that were given, bounded in number, the longest unused going first. Pure but for its lock."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from billing_client.answers import Check, Entitlements
from billing_client.moments import Moment

A = TypeVar("A", Check, Entitlements)


@dataclass(frozen=True, slots=True)
class Kept(Generic[A]):
    """An answer with its times, all counted from when the question was sent, which was before the service answered it.

    Until `fresh` it is as good as new; until `usable` it may be given while it is asked again; from `end` on never.
    """

    answer: A
    sent: Moment
    fresh: Moment
    usable: Moment
    end: Moment
    etag: str | None = None


Remembered = Kept[Check] | Kept[Entitlements]


@dataclass(slots=True)
class _User:
    """`floor`: the highest version seen. `since`: answers to questions sent before that are not kept."""

    floor: int = 0
    since: float = float("-inf")
    answers: dict[str | None, Remembered] = field(default_factory=dict)


class Memory:
    """By user, then by feature; None in a feature's place is the user's list.

    Of a user's answers only those of the highest version seen count: none steps back behind another.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._users: OrderedDict[str, _User] = OrderedDict()
        self._asking: set[tuple[str, str | None]] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def find(self, user_id: str, feature: str | None) -> Remembered | None:
        with self._lock:
            user = self._users.get(user_id)
            if user is None:
                return None
            self._users.move_to_end(user_id)
            kept = user.answers.get(feature)
            return kept if kept is not None and kept.answer.version >= user.floor else None

    def keep(self, user_id: str, feature: str | None, kept: Remembered) -> None:
        """Unless it is older than what is known, or was asked for before `forget`."""
        with self._lock:
            user = self._user(user_id)
            if kept.answer.version < user.floor or kept.sent.monotonic < user.since:
                return
            user.floor = kept.answer.version
            self._count += feature not in user.answers
            user.answers[feature] = kept
            self._evict()

    def raise_floor(self, user_id: str, version: int) -> None:
        """Answers of older versions are known to be superseded."""
        with self._lock:
            user = self._user(user_id)
            user.floor = max(user.floor, version)
            self._evict()

    def forget(self, user_id: str, now: Moment) -> None:
        """Also what is on its way at this moment."""
        with self._lock:
            user = self._user(user_id)
            self._count -= len(user.answers)
            user.answers.clear()
            user.since = now.monotonic
            self._evict()

    def claim(self, user_id: str, feature: str | None) -> bool:
        """Whether the caller is the one to ask again; then it must `release`."""
        with self._lock:
            if (user_id, feature) in self._asking:
                return False
            self._asking.add((user_id, feature))
            return True

    def release(self, user_id: str, feature: str | None) -> None:
        with self._lock:
            self._asking.discard((user_id, feature))

    def _user(self, user_id: str) -> _User:
        user = self._users.setdefault(user_id, _User())
        self._users.move_to_end(user_id)
        return user

    def _evict(self) -> None:
        """A user without answers counts too: their floor is memory as well."""
        while len(self._users) > 1 and max(self._count, len(self._users)) > self._limit:
            _, gone = self._users.popitem(last=False)
            self._count -= len(gone.answers)
        if self._count > self._limit:
            answers = next(iter(self._users.values())).answers
            answers.pop(next(iter(answers)))
            self._count -= 1
