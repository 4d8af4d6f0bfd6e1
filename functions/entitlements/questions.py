"""What a request asks: its query or its body, checked with the standard library alone, every fault named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from billing.domain.windows import parse_rfc3339
from billing.errors import FieldFault, Refused
from billing.http.body import json_object, pointer
from billing.http.exchange import Request, single

MAX_USER_ID = 255
MOST_CHECKS = 100
LARGEST_BATCH = 1_048_576
"""Bytes: room for 100 user ids of 255 characters, however they are escaped."""

_FEATURE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)
_MEMBERS = ("user_id", "feature")
_NO_USER_ID = f"a user_id is 1 to {MAX_USER_ID} printable characters"
_NO_FEATURE = "a feature's code is a letter, then up to 62 letters, digits, `_`, `.` or `-`"
_NO_INSTANT = "an instant is RFC 3339 with its zone, such as 2026-12-01T10:00:00Z"
_NO_MEMBER = "no such member: mind the spelling, or leave it out"


def user_id(request: Request) -> str:
    value = single(request, "user_id")
    if not _is_user_id(value):
        raise _invalid("user_id", _NO_USER_ID)
    return value


def feature(request: Request) -> str:
    value = single(request, "feature")
    if not _is_feature(value):
        raise _invalid("feature", _NO_FEATURE)
    return value


def instant(request: Request, name: str) -> datetime | None:
    """A query parameter that may be left out."""
    if name not in request.query:
        return None
    try:
        return parse_rfc3339(single(request, name))
    except (ValueError, OverflowError) as error:
        raise _invalid(name, _NO_INSTANT) from error


def pairs(request: Request) -> list[tuple[str, str]]:
    """The (user_id, feature) of each of a batch's `checks`. Raises Refused with every fault's JSON pointer."""
    document = json_object(request, LARGEST_BATCH)
    checks = document.get("checks")
    faults = [FieldFault(pointer((name,)), _NO_MEMBER) for name in document if name != "checks"]
    if isinstance(checks, list) and 1 <= len(checks) <= MOST_CHECKS:
        faults += [fault for place, check in enumerate(checks) for fault in _faults(place, check)]
    else:
        faults.append(FieldFault("/checks", f"a list of 1 to {MOST_CHECKS} checks, each of user_id and feature"))
    if faults or not isinstance(checks, list):
        raise Refused("invalid_request", "The body is not what this route takes.", fields=tuple(faults[:MOST_CHECKS]))
    return [(check["user_id"], check["feature"]) for check in checks]


def _faults(place: int, check: Any) -> Iterator[FieldFault]:
    if not isinstance(check, Mapping):
        yield FieldFault(pointer(("checks", place)), "an object of user_id and feature")
        return
    if not _is_user_id(check.get("user_id")):
        yield FieldFault(pointer(("checks", place, "user_id")), _NO_USER_ID)
    if not _is_feature(check.get("feature")):
        yield FieldFault(pointer(("checks", place, "feature")), _NO_FEATURE)
    for name in check:
        if name not in _MEMBERS:
            yield FieldFault(pointer(("checks", place, name)), _NO_MEMBER)


def _is_user_id(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_USER_ID and value.isprintable()


def _is_feature(value: Any) -> bool:
    return isinstance(value, str) and _FEATURE.fullmatch(value) is not None


def _invalid(name: str, fault: str) -> Refused:
    return Refused("invalid_request", f"The query is not valid: {fault}.", fields=(FieldFault(f"?{name}", fault),))
