"""Reading Stripe's JSON with the types we rely on, so that a foreign shape is a named fault and never a stray one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from billing.domain.windows import from_seconds
from billing.errors import Permanent

_ID = re.compile(r"[\x21-\x7e]{1,255}")
_BIGINT = 2**63
_LONGEST_NUMBER = 30  # digits before or behind the point
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Members:
    """A JSON object's members by name and type; each raises `Permanent("unknown_shape")` where the member is not so.

    `name` says in errors whose members these are.
    """

    raw: dict[str, Any]
    name: str

    def text(self, member: str) -> str:
        return self._needed(member, self.text_or_none(member))

    def text_or_none(self, member: str) -> str | None:
        """A string as PostgreSQL can hold it: without U+0000, lone surrogates replaced."""
        value = self.raw.get(member)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fault(member, "a string")
        if value.isascii() and "\0" not in value:
            return value
        return value.replace("\0", "").encode("utf-8", "replace").decode()

    def reference(self, member: str) -> str:
        """The id of what is referred to, whether Stripe sent the id or the object expanded."""
        return self._needed(member, self.reference_or_none(member))

    def reference_or_none(self, member: str) -> str | None:
        value = self.raw.get(member)
        if isinstance(value, dict):
            value = value.get("id")
        if value is None:
            return None
        if not isinstance(value, str) or not _ID.fullmatch(value):
            raise self.fault(member, "an id")
        return value

    def whole(self, member: str) -> int:
        return self._needed(member, self.whole_or_none(member))

    def whole_or_none(self, member: str) -> int | None:
        """An integer of 64 bits."""
        value = self.raw.get(member)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not -_BIGINT <= value < _BIGINT:
            raise self.fault(member, "a 64-bit integer")
        return value

    def decimal_or_none(self, member: str) -> Decimal | None:
        """A number that Stripe writes as a string, such as `unit_amount_decimal`."""
        text = self.text_or_none(member)
        if text is None:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise self.fault(member, "a decimal number") from None
        if not number.is_finite() or number.adjusted() > _LONGEST_NUMBER or number.adjusted() < -_LONGEST_NUMBER:
            raise self.fault(member, "a decimal number")
        return number

    def flag(self, member: str) -> bool:
        value = self.raw.get(member)
        if not isinstance(value, bool):
            raise self.fault(member, "true or false")
        return value

    def instant(self, member: str) -> datetime:
        """Stripe's whole seconds as an instant."""
        return self._needed(member, self.instant_or_none(member))

    def instant_or_none(self, member: str) -> datetime | None:
        seconds = self.whole_or_none(member)
        if seconds is None:
            return None
        if seconds < 0:
            raise self.fault(member, "a time since 1970")
        return from_seconds(seconds)

    def inner(self, member: str) -> Members:
        return self._needed(member, self.inner_or_none(member))

    def inner_or_none(self, member: str) -> Members | None:
        value = self.raw.get(member)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault(member, "an object")
        return Members(value, f"{self.name}.{member}")

    def references(self, member: str) -> tuple[str, ...]:
        """The ids in an array of ids or expanded objects; none where it is not there."""
        entries = self.raw.get(member)
        if not entries:
            return ()
        if not isinstance(entries, list):
            raise self.fault(member, "an array of ids")
        places = Members({str(place): entry for place, entry in enumerate(entries)}, f"{self.name}.{member}")
        return tuple(places.reference(place) for place in places.raw)

    def entries_or_none(self, member: str) -> list[Members] | None:
        """The objects of a plain array."""
        entries = self.raw.get(member)
        if entries is None:
            return None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self.fault(member, "an array of objects")
        return [Members(entry, f"{self.name}.{member}[{i}]") for i, entry in enumerate(entries)]

    def rows(self, member: str) -> tuple[list[Members], bool]:
        """The rows of an embedded list, and whether there are more than these (`has_more`)."""
        page = self.inner(member)
        rows = page.raw.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise page.fault("data", "a list of objects")
        return [Members(row, f"{page.name}.data[{i}]") for i, row in enumerate(rows)], page.flag("has_more")

    def _needed(self, member: str, value: T | None) -> T:
        if value is None:
            raise self.fault(member, "there")
        return value

    def fault(self, member: str, wanted: str) -> Permanent:
        return Permanent(
            "unknown_shape", f"{self.name}.{member} is not {wanted}, as Stripe's pinned API version has it"
        )
