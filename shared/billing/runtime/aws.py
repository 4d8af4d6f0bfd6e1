"""AWS's JSON protocols over one kept-alive connection, with our own signatures: a call costs a seventh of boto3's.

Serves DynamoDB, SQS, Secrets Manager and EventBridge, all of which take `POST /` with an `X-Amz-Target`.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from billing.runtime.credentials import credentials_of
from billing.runtime.pause import spread
from billing.runtime.reply import Reply
from billing.runtime.settings import BadSettings
from billing.runtime.sigv4 import Credentials, Signer
from billing.runtime.wire import Wire, seconds_left

if TYPE_CHECKING:
    import ssl

ATTEMPTS = 3
"""Of one call, while its time lasts: the first and two more after a fault that may pass."""

_FIRST_PAUSE = 0.02
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_THROTTLED = ("Throttl", "ProvisionedThroughputExceeded", "RequestLimitExceeded", "OverLimit", "TooManyRequests")


class Service(NamedTuple):
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


class AwsClient:
    """One service, one connection, one thread.

    `timeout` is the whole call's, in seconds: connecting, retries and pauses included (name resolution, which the
    standard library cannot bound, excepted). The endpoint is `AWS_ENDPOINT_URL`, else the region's own; the region
    `AWS_REGION` or `AWS_DEFAULT_REGION`. Credentials are looked for in the environment at every call, so that rotated
    ones are used at once: they have another access key.
    """

    def __init__(self, service: Service, timeout: float, environ: Mapping[str, str] = os.environ) -> None:
        self.service = service
        self.timeout = timeout
        self.environ = environ
        self._kept: Credentials | None = None
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise BadSettings("set AWS_REGION: calls are signed for a region")
        self._signer = Signer(service.name, region)
        own = environ.get("AWS_ENDPOINT_URL")
        if own:
            self._host, self._wire = _addressed(own)
        else:
            self._host = f"{service.name}.{region}.amazonaws.com"
            self._wire = Wire(self._host, 443, _tls())

    def __repr__(self) -> str:
        return f"AwsClient({self.service.name}, {self._host})"

    def call(self, operation: str, payload: Mapping[str, Any] | str, *, timeout: float | None = None) -> dict[str, Any]:
        """The operation's JSON answer; `payload` may be JSON already. Raises AwsError.

        Throttling and server faults are tried again within the time. A call whose answer was lost may have been
        carried out, and a retried one twice: every write here is conditional on a version or harmless to repeat.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        body = (payload if isinstance(payload, str) else _encode(payload)).encode()
        attempt = 1
        while True:
            try:
                return self._once(operation, body, deadline)
            except AwsError as error:
                pause = spread(0, _FIRST_PAUSE * 2**attempt)
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
        signed = self._signer.sign(self._credentials(deadline), headers, body, datetime.now(UTC))
        try:
            seconds_left(deadline)
            reply = self._wire.post(signed, body, deadline)
        except OSError as fault:
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

    def _credentials(self, deadline: float) -> Credentials:
        kept = self._kept
        if kept is not None and self.environ.get("AWS_ACCESS_KEY_ID") == kept.access_key:
            return kept
        try:
            self._kept = credentials_of(self.environ, seconds_left(deadline))
        except OSError as fault:
            raise AwsError("Unreachable", "Lambda's endpoint for credentials gave none", retryable=True) from fault
        if self._kept is None:
            raise AwsError(
                "NoCredentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Lambda does)", retryable=False
            )
        return self._kept


def _addressed(url: str) -> tuple[str, Wire]:
    """An endpoint that is not the region's own: its host and port as sent, and the connection to it."""
    from urllib.parse import urlsplit  # noqa: PLC0415  Lambda sets no AWS_ENDPOINT_URL, and need not import it

    endpoint = urlsplit(url)
    if endpoint.scheme not in ("http", "https") or not endpoint.hostname:
        raise BadSettings("AWS_ENDPOINT_URL must look like http://127.0.0.1:4566")
    secure = endpoint.scheme == "https"
    return endpoint.netloc, Wire(
        endpoint.hostname, endpoint.port or (443 if secure else 80), _tls() if secure else None
    )


@functools.cache
def _tls() -> ssl.SSLContext:
    """With the system's CA store, which takes 20 ms to read: once, for a function may speak to several services.

    Made with the client, not with its first call: on Lambda init has the CPU that a first request lacks.
    """
    import ssl  # noqa: PLC0415  only where a server speaks TLS, which the emulator does not

    return ssl.create_default_context()
