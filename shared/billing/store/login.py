"""How a DATABASE_URL logs in: as it stands, or, if it begins with `postgresql+iam://`, by a token of AWS's IAM.

Such an address holds no password. The token is made at each connect with the credentials of that moment, and is only
ever sent over TLS to a server whose certificate is trusted and names the host.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from billing.errors import Transient
from billing.runtime.credentials import credentials_of
from billing.runtime.presigned import Presigned
from billing.runtime.settings import BadSettings
from billing.runtime.sigv4 import Credentials

IAM = "postgresql+iam://"
"""What `DATABASE_URL` begins with where the password is a token of IAM."""

LIFETIME = 900
"""Seconds a token is good for. It is checked at the login alone: a connection outlives it."""

_PLAIN = "postgresql://"
_BUNDLES = (
    "/etc/pki/tls/certs/ca-bundle.crt",  # Amazon Linux, which Lambda's Python runs on
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
)


def parameters(
    database_url: str, environ: Mapping[str, str] = os.environ, at: datetime | None = None
) -> dict[str, Any]:
    """What libpq connects with.

    An IAM address takes libpq's parameters; `sslrootcert` may name another file of trusted certificates than the
    system's, `sslmode` may not be weakened. Raises BadSettings where host or user, the region, credentials or trusted
    certificates are missing; Transient where Lambda gives no credentials just now.
    """
    if not database_url.startswith(IAM):
        return conninfo_to_dict(database_url)
    given = conninfo_to_dict(_PLAIN + database_url.removeprefix(IAM))
    host, user, port = str(given.get("host") or ""), str(given.get("user") or ""), int(given.get("port") or 5432)
    if not host or not user:
        raise BadSettings(f"DATABASE_URL must look like {IAM}user@host:5432/database: an IAM token names both")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    credentials = _credentials(environ)
    if not region or credentials is None:
        raise BadSettings(
            "set AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Lambda does): DATABASE_URL says that the "
            "password is a token of IAM"
        )
    return given | {
        "port": port,
        "password": token(credentials, region, host, port, user, at or datetime.now(UTC)),
        "sslmode": "verify-full",
        "sslrootcert": given.get("sslrootcert") or _trusted(),
    }


def _credentials(environ: Mapping[str, str]) -> Credentials | None:
    try:
        return credentials_of(environ)
    except OSError as fault:
        raise Transient(
            "database_unavailable", "There are no credentials to log in with just now. Try again."
        ) from fault


def token(credentials: Credentials, region: str, host: str, port: int, user: str, at: datetime) -> str:
    """RDS's `rds-db:connect`, presigned: what the SDKs call `generate_db_auth_token`."""
    server = f"{host}:{port}"
    presigned = Presigned("rds-db", region, LIFETIME)
    return f"{server}/?{presigned.query(credentials, server, {'Action': 'connect', 'DBUser': user}, at)}"


def _trusted() -> str:
    """The system's file of trusted certificates, which has Amazon's: those of RDS Proxy are signed by them.

    libpq's own `sslrootcert=system` looks where the OpenSSL inside psycopg's wheel was built.
    """
    found = ssl.get_default_verify_paths().cafile or next((file for file in _BUNDLES if Path(file).is_file()), None)
    if found is None:
        raise BadSettings(
            "this system has no file of trusted certificates: install ca-certificates, or add ?sslrootcert=FILE to "
            "DATABASE_URL"
        )
    return found
