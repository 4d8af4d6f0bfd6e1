"""AWS Signature Version 4 of a `POST /`: byte for byte botocore's (tests/contract/test_sigv4.py), far cheaper."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an IAM role or user; roles' keys come with a session token."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Signer:
    """Signs for one service in one region. The day's signing key is kept: deriving it costs four HMACs."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._derived: tuple[str, str] | None = None
        self._key = b""

    def sign(self, credentials: Credentials, headers: Mapping[str, str], body: bytes, at: datetime) -> dict[str, str]:
        """`headers` (lower-case names, `host` among them) with date, token and `authorization` added; `at` is UTC."""
        stamp = f"{at:%Y%m%dT%H%M%SZ}"
        signed = dict(headers) | {"x-amz-date": stamp}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in names)
        request = f"POST\n/\n\n{lines}\n{listed}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.digest(self._day_key(credentials, stamp[:8]), to_sign.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _day_key(self, credentials: Credentials, day: str) -> bytes:
        if self._derived != (credentials.secret_key, day):
            key = ("AWS4" + credentials.secret_key).encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key, self._derived = key, (credentials.secret_key, day)
        return self._key
