"""A signed token beside a check: what signature and claims cost the service. Verifying is the client's: client.py."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NoReturn

from billing.cache.client import connect
from billing.domain.token_keys import rotated, stored
from billing.runtime.aws import SECRETS_MANAGER, AwsClient
from billing.runtime.breaker import Breaker
from billing.runtime.es256 import generate, public_jwk
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.usecases.answer_check import Reading
from functions.tokens import handler
from functions.tokens.desk import Desk
from tests.bench import check
from tests.bench.canned import canned
from tests.bench.check_scene import Held, environ, event
from tests.bench.table import Row


def rows(count: int) -> Iterator[Row]:
    with canned(Held().answer()) as some, canned(Held(whole=True).answer()) as whole, canned(secret()) as keys:
        checking, signing = check.build(some), build(whole, keys)
        asked, wanted = event(), event("entitlements-token")
        yield check.compared(
            "signed token, hit, handler ÷ check, hit, handler",
            check.timed(lambda: check.answered(signing, wanted)),
            check.timed(lambda: check.answered(checking, asked)),
            count,
            None,
        )


def build(table_url: str, keys_url: str) -> Any:
    """The function, with its table at one address and its keys at another."""
    cache = connect("table", Breaker(), environ(table_url))
    secret = Secret(AwsClient(SECRETS_MANAGER, 3, environ(keys_url)), "keys")
    desk = Desk(Reading(cache, _never, _never, Breaker()), secret, "", "billing-bench", lambda: datetime.now(UTC))
    return handler.front(desk, Log("tokens"))


def _never(*_: object) -> NoReturn:
    raise RuntimeError("the cache has it: nothing is to be asked of PostgreSQL")


def secret() -> bytes:
    """GetSecretValue's answer."""
    private, now = generate(), datetime.now(UTC)
    keys = rotated((), public_jwk(private)["kid"], private, now, at_once=False)
    return json.dumps({"Name": "keys", "SecretString": json.dumps(stored(keys or ()))}).encode()
