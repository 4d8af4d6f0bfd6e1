"""A run as a report for people, in Markdown: what it was, what it found, whom that concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from billing.domain.drift import DriftStatus
from billing.domain.windows import rfc3339
from functions.admin.run_bodies import DriftAnswer, RunDetail

MEDIA_TYPE = "text/markdown; charset=utf-8"

MOST_DRIFTS = 1000
"""Told one by one; the rest is in the list of drifts."""

_SAID = {
    "open": "is at work",
    "waiting": "waits for a person: it would take access from more customers than it may",
    "done": "is done",
    "failed": "failed",
    "canceled": "was canceled",
}
_STATUSES: tuple[DriftStatus, ...] = get_args(DriftStatus)


def report(run: RunDetail, drifts: Sequence[DriftAnswer]) -> str:
    return "\n".join(_lines(run, drifts)) + "\n"


def _lines(run: RunDetail, drifts: Sequence[DriftAnswer]) -> Iterator[str]:
    yield f"# Reconciliation {run.id}"
    yield ""
    yield f"This run {_SAID[run.status]}." + (" It was a dry run: nothing was changed." if run.dry_run else "")
    if run.error is not None:
        yield f"It stumbled over {_code(run.error)}."
    yield ""
    yield from _table(("", ""), _facts(run))
    yield ""
    yield "## Drift"
    yield ""
    if not run.drifts:
        yield "None: Stripe, the store and the cache said the same."
        return
    yield from _table(
        ("kind", *_STATUSES),
        [(kind, *(str(counts.get(status, 0)) for status in _STATUSES)) for kind, counts in run.counts.items()],
    )
    yield from _takers(run, drifts)
    yield ""
    yield "## Each of them"
    yield ""
    yield from _table(
        ("n", "kind", "object", "project", "user", "became", "what differs", "access", "reason"),
        [_row(drift) for drift in drifts],
    )
    if run.drifts > len(drifts):
        yield ""
        yield f"And {run.drifts - len(drifts)} more: see the list of drifts."


def _facts(run: RunDetail) -> list[tuple[str, str]]:
    ended = "not yet" if run.finished_at is None else f"{rfc3339(run.finished_at)}, after {run.duration_seconds:.0f} s"
    limit = "1 % of holders, at least 10" if run.max_revocations is None else str(run.max_revocations)
    facts = {
        "started": f"{rfc3339(run.started_at)} by {_plain(run.actor)} ({run.cause})",
        "ended": ended,
        "compared": f"{', '.join(run.passes)} of {run.project_id or 'all projects'}",
        "cut": f"{rfc3339(run.cut_at)}: what was written later was left to events",
        "objects looked at": str(run.listed),
        "hash of Stripe's listing": _code(run.listing_hash) if run.listing_hash else "no listing",
        "may take from": f"{limit} customers unasked",
        "takes from": f"{run.takes_from} customers",
    }
    if run.approved_at is not None:
        facts["approved"] = f"{rfc3339(run.approved_at)} by {_plain(run.approved_by or '')}"
    return list(facts.items())


def _takers(run: RunDetail, drifts: Sequence[DriftAnswer]) -> Iterator[str]:
    taking = [drift for drift in drifts if drift.takes]
    if not taking:
        return
    yield ""
    yield "## Who loses access" if run.status != "waiting" else "## Who would lose access"
    yield ""
    for drift in taking:
        who = ", ".join(_people(drift)) or _code(drift.object_id)
        yield f"- {who}: {_access(drift.effect) or drift.kind} ({_code(drift.object_id)})"


def _people(drift: DriftAnswer) -> list[str]:
    """The users that the effect names, or the one of the drift."""
    sides = drift.effect or {}
    named = {
        (project, user)
        for side in ("before", "after")
        for project, users in (sides.get(side) or {}).items()
        for user in users
    }
    if not named and drift.user_id is not None:
        named = {(drift.project_id or "", drift.user_id)}
    return [f"{_code(user)} of {_plain(project)}" for project, user in sorted(named)]


def _row(drift: DriftAnswer) -> tuple[str, ...]:
    return (
        str(drift.n),
        drift.kind,
        f"{drift.object_type} {_code(drift.object_id)}",
        _plain(drift.project_id or ""),
        _code(drift.user_id) if drift.user_id else "",
        drift.status,
        _differences(drift.before, drift.after),
        _access(drift.effect),
        _plain(drift.reason or ""),
    )


def _differences(before: Any, after: Any) -> str:
    """The members that are not the same, each as it was and as it should be."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return ""
    if not before or not after:
        return "not there" if after else "there"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(f"{_plain(name)}: {_code(before.get(name))} → {_code(after.get(name))}" for name in names)


def _access(effect: Any) -> str:
    """Features by what they were and became; a repair that changes nobody's access has none."""
    if not isinstance(effect, Mapping):
        return ""
    before, after = _features(effect.get("before")), _features(effect.get("after"))
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return "; ".join(f"{_plain(key[2])}: {_code(before.get(key))} → {_code(after.get(key))}" for key in sorted(changed))


def _features(side: Any) -> dict[tuple[str, str, str], Any]:
    return {
        (project, user, feature): value
        for project, users in (side or {}).items()
        for user, features in users.items()
        for feature, value in features.items()
    }


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _code(value: Any) -> str:
    """As code: whatever an id contains, it neither ends its cell nor styles the page."""
    return f"`{_escaped('none' if value is None else str(value)).replace('`', chr(39))}`"


def _plain(text: str) -> str:
    return _escaped("".join("\\" + c if c in "\\`*_[]<>#" else c for c in text))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text).replace("|", "\\|")
