"""AWS's JSON protocols over one kept-alive connection, with our own signatures: a call costs a seventh of boto3's.

Serves DynamoDB, SQS, Secrets Manager and EventBridge, all of which take `POST /` with an `X-Amz-Target`.
"""

from __future__ import annotations

import json
import os
import random
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from billing.runtime.settings import BadSettings
from billing.runtime.sigv4 import Credentials, Signer, credentials_of
from billing.runtime.wire import Reply, Wire, seconds_left

ATTEMPTS = 3
"""Of one call, while its time lasts: the first and two more after a fault that may pass."""

_FIRST_PAUSE = 0.02
_THROTTLED = ("Throttl", "ProvisionedThroughputExceeded", "RequestLimitExceeded", "OverLimit", "TooManyRequests")


@dataclass(frozen=True, slots=True)
class Service:
    """How a service is addressed: `name` in host and signature, `target` before the operation, its JSON version."""

    name: str
    target: str
    json_version: str


DYNAMODB = Service("dynamodb", "DynamoDB_20120810", "1.0")
SQS = Service("sqs", "AmazonSQS", "1.0")
SECRETS_MANAGER = Service("secretsmanager", "secretsmanager", "1.1")
EVENTBRIDGE = Service("events", "AWSEvents", "1.1")


class AwsError(Exception):
    """A call that failed. `code` is AWS's (`ConditionalCheckFailedException`) or `Unreachable`, `Unreadable`.

    `retryable` says whether the same call may succeed later; `document` is AWS's error as sent.
    """

    def __init__(self, code: str, message: str, *, retryable: bool, document: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.document = document or {}


@dataclass(slots=True)
class AwsClient:
    """One service, one connection, one thread.

    `timeout` is the whole call's, in seconds: connecting, retries and pauses included (name resolution, which the
    standard library cannot bound, excepted). The endpoint is `AWS_ENDPOINT_URL`, else the region's own; the region
    `AWS_REGION` or `AWS_DEFAULT_REGION`. Credentials are read from the environment at every call, so that rotated
    ones are used at once.
    """

    service: Service
    timeout: float
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _host: str = field(init=False)
    _wire: Wire = field(init=False, repr=False)
    _signer: Signer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        region = self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise BadSettings("set AWS_REGION: calls are signed for a region")
        endpoint = urlsplit(
            self.environ.get("AWS_ENDPOINT_URL") or f"https://{self.service.name}.{region}.amazonaws.com"
        )
        if endpoint.scheme not in ("http", "https") or not endpoint.hostname:
            raise BadSettings("AWS_ENDPOINT_URL must look like http://127.0.0.1:4566")
        secure = endpoint.scheme == "https"
        self._host = endpoint.netloc
        # the system's CA store, loaded at build time: on Lambda init has the CPU that a first request lacks
        tls = ssl.create_default_context() if secure else None
        self._wire = Wire(endpoint.hostname, endpoint.port or (443 if secure else 80), tls)
        self._signer = Signer(self.service.name, region)

    def call(self, operation: str, payload: Mapping[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
        """The operation's JSON answer. Retries throttling and server faults within the time. Raises AwsError.

        A call whose answer was lost may have been carried out, and a retried one twice: every write here is
        conditional on a version or harmless to repeat.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        body = json.dumps(payload, separators=(",", ":")).encode()
        attempt = 1
        while True:
            try:
                return self._once(operation, body, deadline)
            except AwsError as error:
                pause = random.uniform(0, _FIRST_PAUSE * 2**attempt)  # noqa: S311  spreads retries, guards nothing
                if not error.retryable or attempt == ATTEMPTS or time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)
            attempt += 1

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._wire.close()

    def _once(self, operation: str, body: bytes, deadline: float) -> dict[str, Any]:
        headers = {
            "content-type": f"application/x-amz-json-{self.service.json_version}",
            "host": self._host,
            "x-amz-target": f"{self.service.target}.{operation}",
        }
        signed = self._signer.sign(self._credentials(), headers, body, datetime.now(UTC))
        try:
            seconds_left(deadline)
            reply = self._wire.post(signed, body, deadline)
        except (OSError, HTTPException) as fault:
            message = f"{self.service.name} at {self._host} did not answer in time or at all ({type(fault).__name__})"
            raise AwsError("Unreachable", message, retryable=True) from fault
        return self._read(operation, reply)

    def _read(self, operation: str, reply: Reply) -> dict[str, Any]:
        try:
            document = json.loads(reply.body or b"{}")
        except ValueError:
            document = None
        if reply.status == 200 and isinstance(document, dict):
            return document
        if not isinstance(document, dict) or reply.status == 200:
            message = (
                f"{operation}: {self._host} answered {reply.status} without a JSON object: is it {self.service.name}?"
            )
            raise AwsError("Unreadable", message, retryable=reply.status >= 500)
        code = str(document.get("__type", reply.status)).rpartition("#")[2].partition(":")[0]
        message = str(document.get("message") or document.get("Message") or "no message")
        retryable = reply.status >= 500 or reply.status == 429 or code.startswith(_THROTTLED)
        raise AwsError(code, f"{operation}: {message}", retryable=retryable, document=document)

    def _credentials(self) -> Credentials:
        credentials = credentials_of(self.environ)
        if credentials is None:
            raise AwsError(
                "NoCredentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Lambda does)", retryable=False
            )
        return credentials
