"""A catalog's plan as people read it: what would change, and who gains or loses what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from billing_cli.screen import Column, Screen, shown

_SIGNS = {"create": "+", "update": "~", "archive": "-", "remove": "-", "transfer_lookup_key": "→"}


def show_plan(screen: Screen, plan: Mapping[str, Any]) -> None:
    """`plan` as `PUT /api/v1/admin/catalog` answers it."""
    for change in plan["changes"]:
        screen.line(_change_line(change))
    if not plan["changes"]:
        screen.line(f"Nothing to change: {plan['unchanged']} things are as the file says.")
        return
    screen.line(f"\n{len(plan['changes'])} to change, {plan['unchanged']} stay. Plan {plan['plan_id']}.")
    _show_impact(screen, plan["impact"])


def _change_line(change: Mapping[str, Any]) -> str:
    own_id = f" ({change['id']})" if change["id"] not in (None, change["key"]) else ""
    kind = change["kind"].replace("_", " ")
    name = f"{_SIGNS.get(change['kind'], '?')} {kind} {change['object']} {change['key']}{own_id}"
    details = ", ".join(_detail(change["from"] or {}, change["to"] or {}))
    return f"{name}: {details}" if details else name


def _detail(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What differs. An amount that is whole is not told a second time as the decimal it is too."""
    for member in dict.fromkeys([*before, *after]):
        sides = [side[member] for side in (before, after) if side.get(member) not in (None, "")]
        twice = member == "unit_amount_decimal" and (after or before).get("unit_amount") is not None
        if sides and not twice:
            yield f"{member}: {' → '.join(shown(side).plain for side in sides)}"


def _show_impact(screen: Screen, impact: Mapping[str, Any]) -> None:
    known = "" if impact["complete"] else ", at least: time was up before all were looked at"
    if not impact["features"]:
        screen.line(f"No user gains or loses anything now ({impact['customers']} looked at{known}).")
        return
    screen.line(f"Who gains or loses what now ({impact['customers']} looked at{known}):\n")
    effects = ("gains", "loses", "changes")
    columns: dict[str, Column] = {"FEATURE": "feature", **{effect.upper(): effect for effect in effects}}
    screen.table(impact["features"], {**columns, "FOR INSTANCE": _samples})


def _samples(feature: Mapping[str, Any]) -> str:
    return "; ".join(f"{effect}: {', '.join(users)}" for effect, users in feature["samples"].items() if users)
