"""Many checks in one request: each answered as it would be alone, with one read of the cache for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billing.cache.client import Client, patient
from billing.cache.entitlements import FoundMany, read_many
from billing.cache.item import SnapshotItem
from billing.domain import keys
from billing.errors import Refused, Transient
from billing.usecases.answer_check import (
    BAD_KEY,
    Answer,
    Opened,
    Question,
    Reading,
    answer_from,
    open_by,
    without_cache,
)


def answer_batch(reading: Reading, api_key: str, pairs: Sequence[tuple[str, str]], now: datetime) -> list[Answer]:
    """The answers to (user_id, feature) `pairs`, in their order, each as it is at `now`.

    A user is refilled at most once, however many features are asked for. All or nothing: where one pair cannot be
    answered nobody reads its silence as "no". Raises as `answer_check.answer` does.
    """
    if not keys.well_formed(api_key):
        raise Refused("invalid_api_key", BAD_KEY)
    digest = keys.digest(api_key)

    def ask(cache: Client) -> FoundMany:
        return read_many(cache, digest, keys.tag_of(api_key), pairs)

    def given(found: FoundMany) -> list[Answer]:
        return _answers(reading, open_by(reading, digest, found.key, now), found, pairs, now)

    try:
        found = ask(reading.cache)
    except Transient:
        return without_cache(lambda: given(FoundMany(None, {})), lambda: given(ask(patient(reading.cache))))
    return given(found)


def _answers(
    reading: Reading, opened: Opened, found: FoundMany, pairs: Sequence[tuple[str, str]], now: datetime
) -> list[Answer]:
    refilled: dict[str, SnapshotItem] = {}
    once = _once_a_user(reading, refilled)
    answers = []
    for user_id, feature in pairs:
        kept = None if user_id in refilled else found.snapshots.get((user_id, feature))
        answers.append(answer_from(once, opened, kept, Question(user_id, feature), now))
    return answers


def _once_a_user(reading: Reading, refilled: dict[str, SnapshotItem]) -> Reading:
    """The same reading, asking PostgreSQL, and the table for a whole item, once a user."""
    wholes: dict[str, SnapshotItem | None] = {}

    def refill(project_id: str, user_id: str, now: datetime) -> SnapshotItem:
        if user_id not in refilled:
            refilled[user_id] = reading.refill_snapshot(project_id, user_id, now)
        return refilled[user_id]

    def whole(cache: Client, tag: str, user_id: str) -> SnapshotItem | None:
        if user_id not in wholes:
            wholes[user_id] = reading.whole(cache, tag, user_id)
        return wholes[user_id]

    return reading._replace(refill_snapshot=refill, whole=whole)
