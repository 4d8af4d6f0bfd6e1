"""AWS Signature Version 4 of a `GET /` in its query: what a login by IAM is (ADR 34)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from billing.runtime.sigv4 import ALGORITHM, Credentials, derive, to_sign

_UNRESERVED = "-._~"


class Presigned(NamedTuple):
    """A `GET /` of a service in a region that whoever has its query may send, for `lifetime` seconds."""

    service: str
    region: str
    lifetime: int

    def query(self, credentials: Credentials, host: str, parameters: Mapping[str, str], at: datetime) -> str:
        """The query, signed for `host` (with its port); `at` is UTC."""
        stamp = f"{at:%Y%m%dT%H%M%SZ}"
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        signed = dict(parameters) | {
            "X-Amz-Algorithm": ALGORITHM,
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
        key = derive(credentials, stamp[:8], self.region, self.service)
        signature = hmac.digest(key, to_sign(stamp, scope, request), "sha256").hex()
        return f"{'&'.join(pairs)}&X-Amz-Signature={signature}"
