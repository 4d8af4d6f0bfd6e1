"""The answer that CloudFormation waits for: one PUT of JSON to the address in its request.

Whoever has that address may answer, so it is in no log and in no error.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

PHYSICAL_ID = "schema"
"""The same at every deployment: CloudFormation takes another one for a replacement, and deletes what it replaces."""

_ATTEMPTS = 4
_TIMEOUT = 5.0
_LONGEST_REASON = 1_000  # of the 4 KB an answer may have


class Unanswered(Exception):
    """CloudFormation could not be told: without an answer it waits an hour."""


class Callback:
    """Answers one request, once, whichever thread is first."""

    def __init__(self, request: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep) -> None:
        self._request = request
        self._sleep = sleep
        self._lock = threading.Lock()
        self._answered = False

    def succeed(self, data: Mapping[str, str]) -> None:
        """Raises Unanswered."""
        self._answer("SUCCESS", "", data)

    def fail(self, reason: str) -> None:
        """`reason` is what the operator reads in the stack's events. Raises Unanswered."""
        self._answer("FAILED", reason[:_LONGEST_REASON], {})

    def _answer(self, status: str, reason: str, data: Mapping[str, str]) -> None:
        with self._lock:
            if self._answered:
                return
            self._answered = True
        same = {name: self._request[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
        physical_id = self._request.get("PhysicalResourceId") or PHYSICAL_ID
        said = {"Status": status, "Reason": reason, "PhysicalResourceId": physical_id, **same, "Data": data}
        self._put(json.dumps(said).encode())

    def _put(self, body: bytes) -> None:
        for attempt in range(_ATTEMPTS):
            self._sleep(float(attempt))
            try:
                status = _put_once(self._request["ResponseURL"], body)
            except (OSError, HTTPException):
                continue
            if status < 300:
                return
        raise Unanswered("CloudFormation did not take the answer: is S3 reachable from the function's subnets?")


def _put_once(url: str, body: bytes) -> int:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    try:
        # the address is signed for an empty type
        connection.request("PUT", f"{parts.path}?{parts.query}", body, {"content-type": ""})
        return connection.getresponse().status
    finally:
        connection.close()
