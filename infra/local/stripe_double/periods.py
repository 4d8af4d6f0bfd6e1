"""Billing periods: months end where they should, counted from the anchor's day."""

import calendar
from datetime import UTC, datetime, timedelta

from infra.local.stripe_double.templates import Obj

DAY = 86_400


def next_boundary(anchor: int, after: int, recurring: Obj) -> int:
    """The first instant later than `after` that lies a whole number of intervals from `anchor`.

    An anchor on the 31st gives the last day of shorter months, and the 31st again after.
    """
    count = 0
    while (boundary := _shifted(anchor, recurring, count)) <= after:
        count += 1
    return boundary


def _shifted(anchor: int, recurring: Obj, count: int) -> int:
    start = datetime.fromtimestamp(anchor, UTC)
    steps = count * int(recurring["interval_count"])
    match recurring["interval"]:
        case "day":
            moved = start + timedelta(days=steps)
        case "week":
            moved = start + timedelta(weeks=steps)
        case "month":
            moved = _months_later(start, steps)
        case _:
            moved = _months_later(start, steps * 12)
    return int(moved.timestamp())


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)
