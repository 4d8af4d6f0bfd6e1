"""Whose calls they are: credentials from the environment, or, under SnapStart, from the endpoint Lambda names there.

A snapshot is restored days after it was made, so Lambda puts no keys into its environment: it names an address on
loopback in AWS_CONTAINER_CREDENTIALS_FULL_URI and the password for it in AWS_CONTAINER_AUTHORIZATION_TOKEN. What that
gives is kept until shortly before it expires, by the clock, which goes on while a snapshot sleeps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from billing.runtime.sigv4 import Credentials

EARLY = 300
"""Seconds before they expire at which credentials are asked for anew: a token made of them is good for 15 minutes."""

_ENDPOINT = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_PASSWORD = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105  a variable's name

_kept: dict[str, tuple[Credentials, float]] = {}
"""By endpoint, with the second since 1970 until which they are used."""


def credentials_of(environ: Mapping[str, str], timeout: float = 1.0) -> Credentials | None:
    """None where the environment has neither keys nor an endpoint.

    Raises OSError where the endpoint does not give any within `timeout` seconds.
    """
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)
    endpoint = environ.get(_ENDPOINT)
    if not endpoint:
        return None
    kept = _kept.get(endpoint)
    if kept is None or time.time() >= kept[1]:
        kept = _kept[endpoint] = _asked(endpoint, environ.get(_PASSWORD, ""), timeout)
    return kept[0]


def _asked(endpoint: str, password: str, timeout: float) -> tuple[Credentials, float]:
    from datetime import datetime  # noqa: PLC0415  with the next two once in hours, and mostly before the snapshot
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415

    place = urlsplit(endpoint)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=timeout)
    try:
        connection.request("GET", f"{place.path or '/'}", headers={"Authorization": password})
        reply = connection.getresponse()
        given = json.loads(reply.read())
        credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given.get("Token"))
        return credentials, datetime.fromisoformat(given["Expiration"]).timestamp() - EARLY
    except (HTTPException, ValueError, KeyError, TypeError) as fault:
        raise OSError(f"{_ENDPOINT} gave no credentials ({type(fault).__name__})") from fault
    finally:
        connection.close()
