"""What both clients share of HTTP."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

import httpx

from billing_client.asking import Lost, Reply

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=60.0)

LARGEST = 8 * 1024 * 1024
"""Bytes. API Gateway passes on 10 MB and Lambda 6; more is somebody else's answer."""


class Body:
    """Chunks of an answer, within bounds of size and time."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes, *, late: bool = False) -> None:
        """Raises Lost: it goes on for too long."""
        self._size += len(chunk)
        if late:
            raise Lost("the answer took too long")
        if self._size > LARGEST:
            raise Lost(f"the answer is larger than {LARGEST} bytes")
        self._chunks.append(chunk)

    @property
    def content(self) -> bytes:
        return b"".join(self._chunks)


def base_url(url: str) -> str:
    """Raises ValueError."""
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no URL of a service: give one like https://billing.example, without /api/v1")
    return url.rstrip("/")


def headers(key: str) -> dict[str, str]:
    """Raises ValueError, without the key in it."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key is empty or has characters no key has: give the project's key, bk_…")
    return {
        "authorization": f"Bearer {key}",
        "accept": "application/json, application/problem+json",
        "user-agent": f"billing-client/{_release()}",
    }


def reply(answer: httpx.Response, body: Body) -> Reply:
    return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body.content)


def lost(error: httpx.RequestError) -> Lost:
    """Its kind alone: a message may name what was sent."""
    return Lost(type(error).__name__)


def instant(at: datetime | None) -> str | None:
    """Raises ValueError."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone: give datetime(…, tzinfo=UTC)")
    return at.isoformat()


def _release() -> str:
    try:
        return version("billing-client")
    except PackageNotFoundError:
        return "unpackaged"
