"""What a call can end with instead of an answer.

BillingError
├── Refused       the service said no, and will say no again: mend the request, the key or the catalog
├── Unavailable   there is no answer now: the service is down, slow or overloaded, or the network is
└── BadToken      a token that proves nothing: forged, expired, of another project, or not a token
"""

from __future__ import annotations

from typing import NamedTuple


class FieldFault(NamedTuple):
    """`pointer`: a JSON pointer into the body that was sent, or `?name` for a query parameter."""

    pointer: str
    detail: str


class BillingError(Exception):
    """`code` is stable (docs/errors.md); `request_id` is what to quote when asking for help, if one is known."""

    def __init__(self, code: str, detail: str, *, status: int = 0, request_id: str = "") -> None:
        super().__init__(f"{code}: {detail}" + (f" (request {request_id})" if request_id else ""))
        self.code = code
        self.detail = detail
        self.status = status
        self.request_id = request_id


class Refused(BillingError):
    """`errors` name the fields at fault; `status` is the answer's."""

    def __init__(
        self, code: str, detail: str, *, status: int = 0, request_id: str = "", errors: tuple[FieldFault, ...] = ()
    ) -> None:
        super().__init__(code, detail, status=status, request_id=request_id)
        self.errors = errors


class Unavailable(BillingError):
    """Tried as often as the call's patience allowed. `retryable`: the same call may succeed later.

    `retry_after`: seconds the service asked to wait, if it did. `code` is the service's, or `unreachable` (no answer
    came), `unreadable_answer` (one that is not this API's), `resting` (not asked: it failed a moment ago).
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int = 0,
        request_id: str = "",
        retryable: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, detail, status=status, request_id=request_id)
        self.retryable = retryable
        self.retry_after = retry_after


class BadToken(BillingError):
    """Treat whoever brought it as one without a token."""
