"""AWS Signature Version 4 of a `POST /`: byte for byte botocore's, far cheaper.

tests/contract/test_sigv4.py compares the two.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """Of an IAM role or user; roles' keys come with a session token."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r}, …)"


class Signer:
    """Signs for one service in one region. The day's signing key is kept: deriving it costs four HMACs."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._derived: tuple[str, str] | None = None
        self._key = b""

    def sign(self, credentials: Credentials, headers: Mapping[str, str], body: bytes, at: datetime) -> dict[str, str]:
        """`headers` (lower-case names, `host` among them) with date, token and `authorization` added; `at` is UTC."""
        stamp = at.isoformat(timespec="seconds")[:19].replace("-", "").replace(":", "") + "Z"
        signed = {**headers, "x-amz-date": stamp}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in names])
        request = f"POST\n/\n\n{lines}\n{listed}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        key = self._day_key(credentials, stamp[:8])
        signature = hmac.digest(key, to_sign(stamp, scope, request), "sha256").hex()
        signed["authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _day_key(self, credentials: Credentials, day: str) -> bytes:
        if self._derived != (credentials.secret_key, day):
            self._key = derive(credentials, day, self._region, self._service)
            self._derived = (credentials.secret_key, day)
        return self._key


def to_sign(stamp: str, scope: str, request: str) -> bytes:
    return f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}".encode()


def derive(credentials: Credentials, day: str, region: str, service: str) -> bytes:
    key = ("AWS4" + credentials.secret_key).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
