"""What may this user do? Answered from the cache in one round trip; from PostgreSQL where the cache cannot answer.

Nothing here guesses: an absent, old or unreadable item is a miss, never a "no"; and every answer is evaluated at `now`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple, TypeVar

from billing.cache.client import Client, patient
from billing.cache.entitlements import Found, claim_key, claim_snapshot, read, read_snapshot
from billing.cache.item import CLAIM, STALE, Glimpse, KeyRecord, SnapshotItem, encode, etag, stale
from billing.domain import keys
from billing.domain.windows import FOREVER
from billing.errors import Refused, Transient
from billing.runtime.breaker import Breaker

CLAIM_WINDOW = 3 * CLAIM
"""How long after its freshness an item in use is refilled by claim. Nobody asked for it in that time: no crowd."""

T = TypeVar("T")
Road = Literal["hit", "document", "refill", "stale"]

BAD_KEY = "This API key is not known, or was revoked, or has expired. Ask an operator for a new one."
_FAULTS = {
    "invalid_api_key": BAD_KEY,
    "wrong_role": "This route takes a project's key, and this is an admin key.",
    "project_suspended": "This project is suspended. Ask an operator to activate it.",
}


class Reading(NamedTuple):
    """What answering needs. The refills ask PostgreSQL, fill the cache and return what is then true; they raise
    Transient where PostgreSQL cannot be asked. `store` spares requests the wait for a PostgreSQL that is down. `whole`
    reads a user's whole item, for an instant outside the time its ready-made answers hold.
    """

    cache: Client
    refill_key: Callable[[bytes, datetime], KeyRecord | None]
    refill_snapshot: Callable[[str, str, datetime], SnapshotItem]
    store: Breaker
    whole: Callable[[Client, str, str], SnapshotItem | None] = read_snapshot


class Question(NamedTuple):
    """About one feature, or (None) about all that the user holds."""

    user_id: str
    feature: str | None = None


class Answer(NamedTuple):
    """`body` is the JSON to send, `etag` its tag (lists only), `road` how it came about, for the log.

    `until`: it does not change before, unless somebody changes what it rests on.
    """

    body: str
    etag: str | None
    road: Road
    project_id: str
    key_id: str
    until: datetime


class Opened(NamedTuple):
    """What a key opens. `old`: its record is one that PostgreSQL could not be asked about."""

    project_id: str
    record: KeyRecord
    old: bool


def answer(reading: Reading, api_key: str, question: Question, now: datetime) -> Answer:
    """The answer as it is at `now` (SPEC §3 `GET /entitlements`, `/entitlements/check`; §5 I1-I6).

    Raises Refused (`invalid_api_key`, `wrong_role`, `project_suspended`) and Transient (`unavailable`: neither the
    cache nor PostgreSQL could answer).
    """
    if not keys.well_formed(api_key):
        raise Refused("invalid_api_key", BAD_KEY)
    digest = keys.digest(api_key)
    try:
        found = read(reading.cache, digest, keys.tag_of(api_key), question.user_id, question.feature)
    except Transient:
        return _answer_all_the_same(reading, api_key, question, now)
    return answer_from(reading, open_by(reading, digest, found.key, now), found.snapshot, question, now)


def _answer_all_the_same(reading: Reading, api_key: str, question: Question, now: datetime) -> Answer:
    digest = keys.digest(api_key)

    def given(found: Found) -> Answer:
        return answer_from(reading, open_by(reading, digest, found.key, now), found.snapshot, question, now)

    def ask() -> Found:
        return read(patient(reading.cache), digest, keys.tag_of(api_key), question.user_id, question.feature)

    return without_cache(lambda: given(Found(None, None)), lambda: given(ask()))


def without_cache(by_store: Callable[[], T], patiently: Callable[[], T]) -> T:
    """What the store answers; where it cannot, what the cache answers after all.

    A slow read rests the cache for a second and the store takes over. With the store away that second would be one of
    503s, though the cache has the answer. Raises Transient.
    """
    try:
        return by_store()
    except Transient:
        try:
            return patiently()
        except Transient as fault:
            raise _unavailable() from fault


def open_by(reading: Reading, digest: bytes, kept: KeyRecord | None, now: datetime) -> Opened:
    """What the key of this digest opens at `now`; `kept` is its record in the cache. Raises as `answer` does."""
    record, old = _key(reading, digest, kept, now)
    return Opened(_project(record, now), record, old)


def answer_from(reading: Reading, opened: Opened, kept: Glimpse | None, question: Question, now: datetime) -> Answer:
    """The answer to a question of the opened project; `kept` is the user's item in the cache. Raises Transient."""
    record = opened.record
    seen = kept if kept is not None and _belongs(kept, record) else None
    body, road, until = _body(reading, opened.project_id, seen, record, question, now)
    if opened.old or road == "stale":
        body, road = stale(body), "stale"
    tag = etag(body) if question.feature is None else None
    return Answer(body, tag, road, opened.project_id, record.id, until)


def _key(reading: Reading, digest: bytes, kept: KeyRecord | None, now: datetime) -> tuple[KeyRecord, bool]:
    """The key's record, and whether it is one that PostgreSQL could not be asked about."""
    if kept is not None and (now < kept.fresh_until or _refilled_by_another(reading, kept, now)):
        return kept, False
    try:
        record = _ask(reading.store, lambda: reading.refill_key(digest, now))
    except Transient as fault:
        if kept is None or now >= kept.fresh_until + STALE:
            raise _unavailable() from fault
        return kept, True
    if record is None:
        raise Refused("invalid_api_key", BAD_KEY)
    return record, False


def _refilled_by_another(reading: Reading, kept: KeyRecord | Glimpse, now: datetime) -> bool:
    """Whether, freshness just over, another reader is at the refill; if not, this one has claimed it.

    Freshness is load control only, so the kept item is good for the moment a refill takes; a crowd asking for one user
    costs PostgreSQL one question. Where claiming fails the refill is simply made.
    """
    if now >= kept.fresh_until + CLAIM_WINDOW:
        return False
    try:
        if isinstance(kept, KeyRecord):
            return not claim_key(reading.cache, kept, now)
        return not claim_snapshot(reading.cache, kept, now)
    except Transient:
        return False


def _project(record: KeyRecord, now: datetime) -> str:
    """The project the key opens at `now`."""
    fault = keys.fault_of(
        now,
        needs="project",
        role=record.role,
        project_status=record.project_status,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )
    if fault is not None or record.project_id is None:
        code = fault or "wrong_role"
        raise Refused(code, _FAULTS[code])
    return record.project_id


def _belongs(seen: Glimpse | SnapshotItem, record: KeyRecord) -> bool:
    """Of the key's own project (tags can collide), and not from before its catalog's last change."""
    return seen.project_id == record.project_id and seen.epoch >= record.epoch


def _body(
    reading: Reading, project_id: str, seen: Glimpse | None, record: KeyRecord, question: Question, now: datetime
) -> tuple[str, Road, datetime]:
    if seen is not None and (now < seen.fresh_until or _refilled_by_another(reading, seen, now)):
        cached = _cached(reading, seen, record, question, now)
        if cached is not None:
            return cached
    try:
        item = _ask(reading.store, lambda: reading.refill_snapshot(project_id, question.user_id, now))
    except Transient as fault:
        old = None
        if seen is not None and now < seen.fresh_until + STALE:
            old = _cached(reading, seen, record, question, now)
        if old is None:
            raise _unavailable() from fault
        return old[0], "stale", old[2]
    return _evaluated(item, question, now, "refill")


def _cached(
    reading: Reading, seen: Glimpse, record: KeyRecord, question: Question, now: datetime
) -> tuple[str, Road, datetime] | None:
    """The cache's answer at `now`: ready made, or evaluated from the windows; None if the item is gone meanwhile."""
    if seen.answer is None and question.feature is not None:
        return _no_such_feature(seen, question.feature, now), "hit", FOREVER
    if seen.answer is not None and seen.holds.contains(now):
        return seen.answer, "hit", seen.holds.end
    try:
        item = reading.whole(reading.cache, keys.tag(seen.project_id), question.user_id)
    except Transient:
        return None
    if item is None or not _belongs(item, record):
        return None
    return _evaluated(item, question, now, "document")


def _evaluated(item: SnapshotItem, question: Question, now: datetime, road: Road) -> tuple[str, Road, datetime]:
    if question.feature is None:
        ready: str | None = item.body
    else:
        ready = item.checks.get(question.feature)
    if ready is not None and item.holds.contains(now):
        return ready, road, item.holds.end
    from billing.domain.answers import check_answer, entitlements_answer  # noqa: PLC0415  the rules: not for a hit
    from billing.domain.snapshot import from_document, segment  # noqa: PLC0415  likewise

    snapshot = from_document(item.document)
    if question.feature is None:
        told = entitlements_answer(snapshot, now)
    else:
        told = check_answer(snapshot, question.feature, now)
    return encode(told), road, segment(snapshot, now).end


def _no_such_feature(seen: Glimpse, feature: str, now: datetime) -> str:
    """A snapshot carries all its project's features, so one it lacks does not exist."""
    from billing.domain.answers import check_answer  # noqa: PLC0415  the rules: not for a hit
    from billing.domain.snapshot import Snapshot  # noqa: PLC0415  likewise

    bare = Snapshot(seen.project_id, seen.user_id, seen.version, seen.epoch, seen.as_of, {})
    return encode(check_answer(bare, feature, now))


def _ask(store: Breaker, refill: Callable[[], T]) -> T:
    if not store.closed:
        raise _unavailable()
    try:
        result = refill()
    except Transient:
        store.failed()
        raise
    store.succeeded()
    return result


def _unavailable() -> Transient:
    return Transient("unavailable", "Neither the cache nor the store could answer. Try again.", retry_after=1)
