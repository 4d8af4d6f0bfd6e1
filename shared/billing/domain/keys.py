"""API keys: how they are written, recognised and judged.

A key is `bk_<live|test>_` + tag (8) + 43 characters of 32 random bytes (base64url) + 8 hex digits of the CRC-32 of
everything before. The checksum lets garbage be refused without any I/O and secret scanners match without false alarms.
The tag is a hint at the key's project, so that a snapshot's place is known from the request alone; nothing trusts it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from datetime import datetime
from typing import Literal

Mode = Literal["live", "test"]
Role = Literal["project", "admin"]
Fault = Literal["invalid_api_key", "wrong_role", "project_suspended"]

RANDOM_BYTES = 32

_SHAPE = re.compile(r"bk_(?:live|test)_([a-z2-7]{8})[A-Za-z0-9_-]{43}[0-9a-f]{8}", re.ASCII)


def mint(mode: Mode, project_id: str | None, random_bytes: bytes) -> str:
    """A new key from 32 random bytes, to be shown once and stored as `digest`. `project_id` is None for an admin's."""
    if len(random_bytes) != RANDOM_BYTES:
        raise ValueError(f"a key is minted from {RANDOM_BYTES} random bytes, not {len(random_bytes)}")
    secret = base64.urlsafe_b64encode(random_bytes).decode().rstrip("=")
    body = f"bk_{mode}_{tag(project_id)}{secret}"
    return body + checksum(body)


def well_formed(text: str) -> bool:
    """Whether this could be a key at all. Says nothing about its being known."""
    return _SHAPE.fullmatch(text) is not None and checksum(text[:-8]) == text[-8:]


def checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def digest(key: str) -> bytes:
    """SHA-256 of the whole key: all that is stored. With 256 random bits inside, nothing slower is needed."""
    return hashlib.sha256(key.encode()).digest()


def tag(project_id: str | None) -> str:
    """The first 40 bits of SHA-256 of the project's id (of nothing, for admin keys), in lower-case base32."""
    head = hashlib.sha256((project_id or "").encode()).digest()[:5]
    return base64.b32encode(head).decode().lower()


def tag_of(key: str) -> str:
    """The tag inside a well-formed key."""
    return key[8:16]


def fault_of(
    now: datetime,
    *,
    needs: Role,
    role: Role,
    project_status: Literal["active", "suspended"] | None,
    expires_at: datetime | None,
    revoked_at: datetime | None,
) -> Fault | None:
    """Why a known key opens nothing at `now`, or None when it does. At the very instant of its end it is over."""
    if revoked_at is not None and now >= revoked_at:
        return "invalid_api_key"
    if expires_at is not None and now >= expires_at:
        return "invalid_api_key"
    if role != needs:
        return "wrong_role"
    return "project_suspended" if project_status == "suspended" else None
