"""What operators type, as the API takes it."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import Any

from billing_cli.faults import Misused

_DURATION = re.compile(r"(\d{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def instant(option: str, text: str) -> str:
    """RFC 3339, or a day, which stands for its first instant in UTC. Raises Misused."""
    try:
        if len(text) == len("2027-01-31"):
            return f"{date.fromisoformat(text).isoformat()}T00:00:00Z"
        if datetime.fromisoformat(text).tzinfo is not None:
            return text
    except ValueError:
        pass  # told below, as is an instant without an offset
    raise Misused(
        f"{option}: {text!r} is no instant.", "Give a day, 2027-01-31, or an instant with offset, 2027-01-31T12:00:00Z."
    )


def seconds(option: str, text: str) -> int:
    """A duration such as 90s, 30m, 24h, 7d. Raises Misused."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Misused(f"{option}: {text!r} is no duration.", "Give a number and its unit: 90s, 30m, 24h or 7d.")
    return int(found[1]) * _SECONDS[found[2]]


def feature_value(text: str) -> Any:
    """JSON, or else the text itself: `unlimited` needs no quotes."""
    try:
        return json.loads(text)
    except ValueError:  # not JSON: text is a value too
        return text
