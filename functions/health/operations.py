"""Open to all: probes, and this document.

The handler never imports this: contract tests hold the two together.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, RootModel

from billing.http.operations import Operation


class Alive(BaseModel):
    """The function runs. Nothing is said of what lies behind it."""

    status: Literal["alive"]


class Checks(BaseModel):
    """`ok`, or what is wrong."""

    postgresql: str
    migrations: str
    dynamodb: str


class Ready(BaseModel):
    """All that an answer needs works. Otherwise the problem `not_ready` has `checks` too."""

    status: Literal["ready"]
    checks: Checks


class OpenApi(RootModel[dict[str, Any]]):
    """The contract of the whole API, OpenAPI 3.1."""


ALIVE = Operation("GET", "/healthz", "isAlive", "Does the service run?", Alive, opens="nobody")
READY = Operation("GET", "/ready", "isReady", "Does all it needs work?", Ready, problems=("not_ready",), opens="nobody")
CONTRACT = Operation("GET", "/openapi.json", "readContract", "This document", OpenApi, opens="nobody")
OPERATIONS = (ALIVE, READY, CONTRACT)
