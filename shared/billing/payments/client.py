"""Stripe's SDK, pinned and bounded; and the one place where its errors become ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import stripe
from stripe import RequestOptions, StripeClient

from billing.errors import Permanent, Transient
from billing.payments.transport import Client, Transport
from billing.runtime.aws import AwsError
from billing.runtime.secrets import Secret
from billing.runtime.settings import BadSettings

API_VERSION = "2026-10-28.endive"
"""Every request asks for it and every reader is written for it; the webhook endpoint must be made with it too."""

_RETRIES = 2
_KEYS = 3
_CONNECT_SECONDS = 2
_READ_SECONDS = 8
T = TypeVar("T")


class Rejected(Permanent):
    """Stripe understood a request and refused it (4xx), so the same request will be refused again.

    `reason` is Stripe's `error.code` ("" where it has none) and `param` the parameter it complains about.
    """

    def __init__(self, reason: str, param: str, request_id: str) -> None:
        about = f" ({param})" if param else ""
        super().__init__(
            "stripe_refused",
            f"Stripe refused the request: {reason or 'no code'}{about}. Look up {request_id} in Stripe's request log.",
        )
        self.reason = reason
        self.param = param

    def missing(self, param: str) -> bool:
        """Whether Stripe has no object by the id given in `param`."""
        return self.reason == "resource_missing" and self.param == param


class Poisoned(Transient):
    """Stripe's stored 5xx of an earlier attempt under the same idempotency key: only another key gets further."""


@lru_cache(maxsize=4)
def connect(api_key: str, api_base: str | None = None, *, retries: int = _RETRIES) -> StripeClient:
    """A client that waits at most 8 s per attempt, tries three times under one idempotency key, and sends no telemetry.

    A caller behind a queue has its retries there: `retries` 0 keeps it from holding up what waits behind.

    `api_base` points it at another server than Stripe's (the local double). It is thread-safe, keeps its connections,
    and is the same for the same key: ask for it on each request, and a rotated key is taken up by itself.
    """
    stripe.enable_telemetry = False
    base = (api_base or stripe.DEFAULT_API_BASE).rstrip("/")
    return Client(api_key, API_VERSION, base, Transport(base, (_CONNECT_SECONDS, _READ_SECONDS)), retries)


def current(secret: Secret, api_base: str | None = None, *, retries: int = _RETRIES) -> StripeClient:
    """The client of the secret's `api_key` as it is now: a rotated key is in use within a minute.

    Raises Transient where the secret cannot be read, BadSettings where it holds no key.
    """
    try:
        api_key = secret.read().get("api_key")
    except AwsError as fault:
        raise Transient("unavailable", f"Stripe's API key cannot be read now ({fault.code}): try again.") from fault
    if not isinstance(api_key, str) or not api_key:
        raise BadSettings("the Stripe secret holds no api_key: store {'api_key': 'sk_…'}")
    return connect(api_key, api_base, retries=retries)


@contextmanager
def our_errors(named: str = "id") -> Iterator[None]:
    """The SDK's errors as `Transient` and `Rejected`. No message of Stripe's is kept: it may quote an e-mail.

    `named` is what a missing object of the path itself is called in `Rejected.param`.
    """
    try:
        yield
    except stripe.StripeError as error:
        raise _translated(error, named) from error


def derived_key(prefix: str, *parts: Any) -> str:
    """An idempotency key that differs wherever a part (JSON) does: Stripe refuses one key with other parameters."""
    return f"{prefix}:{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]}"


def create_once(key: str, call: Callable[[RequestOptions], T]) -> T:
    """Creates under an idempotency key, so that it may be sent again after whatever happened.

    Stripe answers a stored 5xx under its key for 24 h; then the next key of a fixed row is used, lest a customer is
    locked out for a day. Raises Transient, Rejected.
    """
    for number in range(1, _KEYS):
        try:
            return _create(key if number == 1 else f"{key}:{number}", call)
        except Poisoned:
            continue
    return _create(f"{key}:{_KEYS}", call)


def _create(key: str, call: Callable[[RequestOptions], T]) -> T:
    with our_errors():
        return call({"idempotency_key": key})


def _translated(error: stripe.StripeError, named: str) -> Transient | Rejected:
    status = error.http_status
    headers = error.headers or {}
    if status in {401, 403}:
        return Transient(
            "stripe_key_refused", "Stripe refuses this service's API key: put a valid one into the secret."
        )
    if status is None or status >= 500 or status in {409, 429}:
        kind = Poisoned if status and status >= 500 and headers.get("Idempotent-Replayed") == "true" else Transient
        seen = "did not answer" if status is None else f"answered {status}"
        return kind(
            "stripe_unavailable", f"Stripe {seen}: try again.", retry_after=_seconds(headers.get("Retry-After"))
        )
    param = str(getattr(error, "param", None) or "")
    return Rejected(error.code or "", named if param == "id" else param, error.request_id or "an unnamed request")


def _seconds(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= 6 else None


__all__ = [
    "API_VERSION",
    "Poisoned",
    "Rejected",
    "StripeClient",  # for use cases, which pass it along and import no SDK
    "connect",
    "create_once",
    "current",
    "derived_key",
    "our_errors",
]
