"""The three ways a use case can fail; nothing else crosses a border on purpose.

    BillingError
    ├── Refused     the caller's request cannot be granted; mending it is up to the caller
    ├── Transient   this moment's fault (database, DynamoDB, Stripe 429/5xx, timeout): it may succeed later
    └── Permanent   a Stripe event or stored row that can never be understood as it is; a person must look

Codes are stable snake_case words of the API. Only `billing.http.problems` knows which HTTP status a code has.
"""

from __future__ import annotations

from typing import NamedTuple


class FieldFault(NamedTuple):
    """One bad member of a request: `pointer` is a JSON pointer into the body, or `?name` for a query parameter."""

    pointer: str
    detail: str

    @classmethod
    def at(cls, path: tuple[int | str, ...], detail: str) -> FieldFault:
        """The fault at a path of member names and places (RFC 6901)."""
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
        return cls("".join(f"/{step}" for step in steps), detail)


class BillingError(Exception):
    """Base of all three, with a stable `code` and a `detail` that says how to mend it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Refused(BillingError):
    """Not granted. `fields` name what is wrong in the request; `extra` adds members to the problem document."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        fields: tuple[FieldFault, ...] = (),
        extra: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.fields = fields
        self.extra = extra or {}


class Transient(BillingError):
    """Try again: after `retry_after` seconds where known."""

    def __init__(self, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class Permanent(BillingError):
    """Never understood on its own: recorded as `failed` with this code, kept, replayable."""


__all__ = ["BillingError", "FieldFault", "Permanent", "Refused", "Transient"]
