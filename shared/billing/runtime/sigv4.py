"""AWS Signature Version 4 of a `POST /`, or of a `GET /` in its query: byte for byte botocore's, far cheaper.

tests/contract/test_sigv4.py compares the two.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-._~"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an IAM role or user; roles' keys come with a session token."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def credentials_of(environ: Mapping[str, str]) -> Credentials | None:
    """What Lambda and AWS's tools put into the environment; None where it holds no keys."""
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        return None
    return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)


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
        key = self._day_key(credentials, stamp[:8])
        signature = hmac.digest(key, _to_sign(stamp, scope, request), "sha256").hex()
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _day_key(self, credentials: Credentials, day: str) -> bytes:
        if self._derived != (credentials.secret_key, day):
            self._key = _derive(credentials, day, self._region, self._service)
            self._derived = (credentials.secret_key, day)
        return self._key


@dataclass(frozen=True, slots=True)
class Presigned:
    """A `GET /` of a service in a region that whoever has its query may send, for `lifetime` seconds."""

    service: str
    region: str
    lifetime: int

    def query(self, credentials: Credentials, host: str, parameters: Mapping[str, str], at: datetime) -> str:
        """The query, signed for `host` (with its port); `at` is UTC."""
        stamp = f"{at:%Y%m%dT%H%M%SZ}"
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        signed = dict(parameters) | {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(self.lifetime),
            "X-Amz-SignedHeaders": "host",
        }
        if credentials.token:
            signed["X-Amz-Security-Token"] = credentials.token
        pairs = [f"{quote(name, safe=_UNRESERVED)}={quote(value, safe=_UNRESERVED)}" for name, value in signed.items()]
        listed = "&".join(sorted(pairs, key=lambda pair: pair.split("=", 1)))
        request = f"GET\n/\n{listed}\nhost:{host}\n\nhost\n{hashlib.sha256().hexdigest()}"
        key = _derive(credentials, stamp[:8], self.region, self.service)
        signature = hmac.digest(key, _to_sign(stamp, scope, request), "sha256").hex()
        return f"{'&'.join(pairs)}&X-Amz-Signature={signature}"


def _to_sign(stamp: str, scope: str, request: str) -> bytes:
    return f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}".encode()


def _derive(credentials: Credentials, day: str, region: str, service: str) -> bytes:
    key = ("AWS4" + credentials.secret_key).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
