"""Pages of lists: newest first, cursors by id, filters by equality and by ranges of time."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid, missing
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.views import render

_LARGEST = 100
_DEFAULT = 10


Fits = Callable[[Obj], bool]
Listing = Callable[[Account, Params], Obj]
_ALREADY_SHOWN = frozenset({"item", "line_item"})


def page(account: Account, url: str, entries: list[Obj], params: Params) -> Obj:
    """The page of an object's own few `entries` that `limit`, `starting_after` and `ending_before` ask for."""
    limit = _checked_limit(params)
    if "ending_before" in params:
        before = entries[: _position(entries, params, "ending_before")]
        return _shown(account, url, before[-limit:], more=len(before) > limit)
    start = _position(entries, params, "starting_after") + 1 if "starting_after" in params else 0
    return _shown(account, url, entries[start : start + limit], more=len(entries) > start + limit)


def _position(entries: list[Obj], params: Params, param: str) -> int:
    place = next((place for place, entry in enumerate(entries) if entry["id"] == params[param]), None)
    if place is None:
        raise missing(entries[0]["object"] if entries else "object", params[param], param=param)
    return place


def page_of(account: Account, kind: str, url: str, params: Params, fits: Fits) -> Obj:
    """The page of all objects of a type that fit, newest first; it costs what it holds, however many there are.

    A cursor may name an object that fell out of the filter meanwhile: it still has its place among its kind.
    """
    limit = _checked_limit(params)
    for param in ("starting_after", "ending_before"):
        if param in params and params[param] not in account.table(kind):
            raise missing(kind, params[param], param=param)
    if "ending_before" in params:
        onward = account.oldest(kind, after=params["ending_before"])
    else:
        onward = account.newest(kind, before=params.get("starting_after"))
    found = list(islice(filter(fits, onward), limit + 1))
    chosen = found[:limit]
    return _shown(account, url, chosen[::-1] if "ending_before" in params else chosen, more=len(found) > limit)


def _checked_limit(params: Params) -> int:
    limit: int = params.get("limit", _DEFAULT)
    if not 1 <= limit <= _LARGEST:
        raise invalid(f"This value must be between 1 and {_LARGEST}.", param="limit", code="parameter_invalid_integer")
    if "starting_after" in params and "ending_before" in params:
        raise invalid("You cannot pass both starting_after and ending_before.", param="starting_after")
    return limit


def _shown(account: Account, url: str, chosen: list[Obj], *, more: bool) -> Obj:
    data = [entry if entry["object"] in _ALREADY_SHOWN else render(account, entry) for entry in chosen]
    return {"object": "list", "data": data, "has_more": more, "url": url}


def listing(kind: str, url: str, **filters: str) -> Listing:
    """A list route over all objects of a type.

    `filters` map parameters to the object's fields: equality, or a range if the parameter is one (`created[gte]`).
    """

    def answer(account: Account, params: Params) -> Obj:
        wanted = {field: params[name] for name, field in filters.items() if name in params}
        return page_of(
            account,
            kind,
            url,
            params,
            lambda obj: not obj.get("deleted") and in_time(obj, params) and _fits(obj, wanted),
        )

    return answer


def in_time(obj: Obj, params: Params) -> bool:
    """What lives by a test clock is shown where that clock is asked for, or the customer."""
    return "customer" in params or obj.get("test_clock") == params.get("test_clock")


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
