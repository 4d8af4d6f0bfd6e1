"""Pages of lists: newest first, cursors by id, filters by equality and by ranges of time."""

from collections.abc import Callable, Iterable
from typing import Any

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid, missing
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import render

_LARGEST = 100
_DEFAULT = 10


def page(account: Account, url: str, entries: Iterable[Obj], params: Params) -> Obj:
    """The page of `entries` (newest first) that `limit`, `starting_after` and `ending_before` ask for."""
    limit = params.get("limit", _DEFAULT)
    if not 1 <= limit <= _LARGEST:
        raise invalid(f"This value must be between 1 and {_LARGEST}.", param="limit", code="parameter_invalid_integer")
    if "starting_after" in params and "ending_before" in params:
        raise invalid("You cannot pass both starting_after and ending_before.", param="starting_after")
    whole = list(entries)
    if "ending_before" in params:
        whole = whole[: _position(account, whole, params["ending_before"], "ending_before")]
        chosen, more = whole[-limit:], len(whole) > limit
    else:
        start = 0
        if "starting_after" in params:
            start = _position(account, whole, params["starting_after"], "starting_after") + 1
        chosen, more = whole[start : start + limit], len(whole) > start + limit
    shown = [entry if entry["object"] in _ALREADY_SHOWN else render(account, entry) for entry in chosen]
    return {"object": "list", "data": shown, "has_more": more, "url": url}


_ALREADY_SHOWN = frozenset({"item", "line_item"})


def _position(account: Account, entries: list[Obj], cursor: str, param: str) -> int:
    """The cursor's place; an object that fell out of the filter meanwhile still has one among its kind."""
    for index, entry in enumerate(entries):
        if entry["id"] == cursor:
            return index
    cursor_object = account.objects.get(cursor)
    if cursor_object is None:
        raise missing(entries[0]["object"] if entries else "object", cursor, param=param)
    ages = {object_id: age for age, object_id in enumerate(account.table(cursor_object["object"]))}
    newer = sum(ages.get(entry["id"], -1) > ages[cursor] for entry in entries)
    return newer if param == "ending_before" else newer - 1


Listing = Callable[[Account, Params], Obj]


def listing(kind: str, url: str, **filters: str) -> Listing:
    """A list route over all objects of a type.

    `filters` map parameters to the object's fields: equality, or a range if the parameter is one (`created[gte]`).
    """

    def answer(account: Account, params: Params) -> Obj:
        wanted = {field: params[name] for name, field in filters.items() if name in params}
        entries = (obj for obj in account.newest(kind) if not obj.get("deleted") and _fits(obj, wanted))
        return page(account, url, entries, params)

    return answer


def _fits(obj: Obj, wanted: dict[str, Any]) -> bool:
    return all(within(obj.get(field), value) for field, value in wanted.items())


def within(value: Any, wanted: Any) -> bool:
    """Whether a field equals what is wanted or lies in the wanted range."""
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    if value is None:
        return False
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "gt": lambda a, b: a > b,
        "gte": lambda a, b: a >= b,
        "lt": lambda a, b: a < b,
        "lte": lambda a, b: a <= b,
    }
    return all(tests[name](value, bound) for name, bound in wanted.items())
