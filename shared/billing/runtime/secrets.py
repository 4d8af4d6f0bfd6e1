"""JSON secrets of AWS Secrets Manager, kept for at most a minute, so that a rotation needs no deployment."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from billing.runtime.aws import AwsClient
from billing.runtime.settings import BadSettings

MAX_AGE = 60.0
"""Seconds a read secret is used before it is read again."""

MIN_AGE = 5.0
"""Seconds between reads that failed verifications can cause: a flood of forgeries must not become a flood of reads."""


class Secret:
    """One secret whose value is a JSON object. Reading raises AwsError, or BadSettings when it is no JSON object."""

    def __init__(self, client: AwsClient, secret_id: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self.secret_id = secret_id
        self._monotonic = monotonic
        self._value: dict[str, Any] | None = None
        self._read_at = 0.0

    def read(self) -> dict[str, Any]:
        """The value, at most a minute old."""
        if self._value is None or self._monotonic() - self._read_at >= MAX_AGE:
            return self._fetch()
        return self._value

    def reread(self) -> dict[str, Any] | None:
        """The value read anew, for when the kept one did not fit; None when there is nothing newer to try."""
        if self._value is not None and self._monotonic() - self._read_at < MIN_AGE:
            return None
        before = self._value
        after = self._fetch()
        return None if after == before else after

    def latest(self) -> dict[str, Any]:
        """The value read anew, for whoever is about to replace it."""
        return self._fetch()

    def replace(self, value: Mapping[str, object]) -> None:
        """Store another value; others read it within a minute. Two at once: the later one stays. Raises AwsError."""
        request = {
            "SecretId": self.secret_id,
            "SecretString": json.dumps(value),
            "ClientRequestToken": os.urandom(16).hex(),
        }
        self._client.call("PutSecretValue", request)
        self._value = None

    def _fetch(self) -> dict[str, Any]:
        answer = self._client.call("GetSecretValue", {"SecretId": self.secret_id})
        try:
            value = json.loads(answer.get("SecretString") or "")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise BadSettings(
                f"the secret {self.secret_id} holds no JSON object: store one, such as {{'api_key': '…'}}"
            )
        self._value, self._read_at = value, self._monotonic()
        return value
