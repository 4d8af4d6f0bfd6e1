"""What the doors of this function work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from billing.runtime.secrets import Secret
from billing.usecases.answer_check import Reading


@dataclass(frozen=True, slots=True)
class Desk:
    """`secret` holds the signing keys; `issuer` is the tokens' `iss`."""

    reading: Reading
    secret: Secret
    database_url: str
    issuer: str
    now: Callable[[], datetime]
