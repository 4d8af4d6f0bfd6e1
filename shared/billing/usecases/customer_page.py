"""Everything known about one user on one page, for whoever has to answer them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.domain.answers import entitlements_answer
from billing.domain.audit import Link
from billing.errors import Refused
from billing.store import audit
from billing.store.connection import transaction
from billing.store.customer_page import read_page
from billing.store.snapshots import snapshot_of

MANY = 50
"""Rows of a kind on the page, at most."""

FEW = 20
"""The latest events and acts."""

_LISTS = (
    "stripe_customers",
    "subscriptions",
    "purchases",
    "charges",
    "grants",
    "checkout_sessions",
)
_NESTED = {"subscriptions": ("items",), "charges": ("refunds", "disputes")}


def customer_page(database_url: str, project_id: str, user_id: str, now: datetime) -> dict[str, Any]:
    """The page as JSON members; every list as `{"data": […], "has_more": …}`, newest first.

    A namespace may serve several projects: what the user holds is told whole, the entitlements are those of the project
    asked. Raises Refused (`project_not_found`, `customer_not_found`), Transient.
    """
    with transaction(database_url) as connection:
        page = read_page(connection, project_id, user_id, many=MANY, few=FEW)
        snapshot = snapshot_of(connection, project_id, user_id)
        if page is None or snapshot is None:
            raise Refused("project_not_found", f"there is no project {project_id}: list the projects for its id")
        if page["user_id"] is None:
            raise Refused("customer_not_found", "the project has no such user: mind how the id is encoded in the path")
        acts = audit.list_acts(connection, targets=_targets(page), limit=FEW + 1)
    return {
        "project_id": project_id,
        **{name: page[name] for name in ("user_id", "namespace", "version", "created_at", "changed_at")},
        **{name: _section(_rows(name, page[name]), MANY) for name in _LISTS},
        "events": _section(page["events"], FEW),
        "audit": _section([_act(link) for link in acts], FEW),
        "entitlements": entitlements_answer(snapshot, now),
    }


def _targets(page: Mapping[str, Any]) -> list[str]:
    """What was done to the user was done to one of their grants or events."""
    return [row["id"] for name in ("grants", "events") for row in page[name]]


def _act(link: Link) -> dict[str, Any]:
    names = ("seq", "at", "actor", "action", "target", "reason")
    return {"project_id": link.entry.chain or None, **{name: getattr(link.entry, name) for name in names}}


def _rows(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    nested = _NESTED.get(name, ())
    return [{**row, **{part: _section(row[part], MANY) for part in nested}} for row in rows]


def _section(rows: list[dict[str, Any]], most: int) -> dict[str, Any]:
    return {"data": rows[:most], "has_more": len(rows) > most}
