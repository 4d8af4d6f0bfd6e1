"""Errors in Stripe's shape.

StripeFault            any answer that is an error: status, and the body's `error` object
  invalid(...)         400 invalid_request_error, with `code` and `param` as Stripe gives them
  missing(...)         404 (400 for a parameter) resource_missing
  card_declined(...)   402 card_error
"""

from typing import Any


class StripeFault(Exception):
    """An error answer. `details` go into the body's `error` beside type and message."""

    def __init__(self, status: int, kind: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.details = {name: value for name, value in details.items() if value is not None}

    def body(self, request_id: str) -> dict[str, Any]:
        error = {"type": self.kind, "message": self.message, **self.details}
        if self.status in (400, 402, 404):
            error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeFault:
    return StripeFault(400, "invalid_request_error", message, param=param, code=code)


def missing(kind: str, object_id: str, *, param: str = "id") -> StripeFault:
    """No such object: 404 when it is the request's own object (`param` "id"), 400 when a parameter names it."""
    status = 404 if param == "id" else 400
    name = kind.rpartition(".")[2].replace("_", " ")
    message = f"No such {name}: '{object_id}'"
    return StripeFault(status, "invalid_request_error", message, code="resource_missing", param=param)


def card_declined(decline_code: str, **details: Any) -> StripeFault:
    messages = {"insufficient_funds": "Your card has insufficient funds."}
    return StripeFault(
        402,
        "card_error",
        messages.get(decline_code, "Your card was declined."),
        code="card_declined",
        decline_code=decline_code,
        **details,
    )
