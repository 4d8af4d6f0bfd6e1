"""The token function through literal gateway events, a real PostgreSQL, a real DynamoDB API and a real secret store."""

import io
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from billing.cache.item import FRESH
from billing.domain.token_keys import PUBLISHED_AHEAD, WITHDRAWN_AFTER
from billing.domain.windows import parse_rfc3339, rfc3339
from billing.runtime.aws import SECRETS_MANAGER, AwsClient
from billing.runtime.log import Log
from billing.runtime.secrets import Secret
from billing.runtime.settings import BadSettings
from billing.usecases.publish_outbox import publish_customer
from functions.tokens.desk import Desk
from functions.tokens.handler import build, front
from functions.tokens.operations import ISSUE, KEY_SET, ROTATE, SHOW
from tests.support.clerk import CREDENTIALS, Clerk, run_clerk
from tests.support.contract import fault_of
from tests.support.gateway import Answer, ask
from tests.support.world import MONTH, START

ENDS = START + MONTH + timedelta(hours=72)
"""When pro's window closes: the period's end and the renewal leeway."""

SECOND = timedelta(seconds=1)


@dataclass
class Signer:
    """The function under test. The clock is the clerk's; every answer is held against the contract."""

    clerk: Clerk
    aws: AwsClient
    secret_id: str = field(default_factory=lambda: f"signing-keys-{uuid.uuid4().hex[:8]}")
    log: io.StringIO = field(default_factory=io.StringIO)

    def ask(
        self,
        route: str,
        body: object = None,
        *,
        key: str | None = None,
        store: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Each time of a function that has just started; `store=False`: PostgreSQL cannot be reached."""
        secret, clerk = Secret(self.aws, self.secret_id), self.clerk
        desk = Desk(clerk.reading(store=store), secret, clerk.world.database_url, "billing-test", clerk.now)
        answer = ask(front(desk, Log("tokens", stream=self.log)), route, body, key=key, headers=headers)
        assert fault_of(route, answer) is None
        return answer

    def issue(self, user_id: object = "ann", *, key: str | None = None, store: bool = True, **more: object) -> Answer:
        body = {"user_id": user_id, **more}
        return self.ask(ISSUE.route, body, key=key or self.clerk.project_key, store=store)

    def rotate(self, *, idempotency: str | None = None, **body: object) -> Answer:
        headers = {} if idempotency is None else {"Idempotency-Key": idempotency}
        return self.ask(ROTATE.route, body, key=self.clerk.admin_key, headers=headers)

    def keys(self) -> KeySet:
        return KeySet.import_key_set(self.ask(KEY_SET.route).body)

    def states(self) -> list[str]:
        return [each["state"] for each in self.ask(SHOW.route, key=self.clerk.admin_key).body["keys"]]

    def said(self, **arguments: Any) -> dict[str, Any]:
        """The claims of a token, as whoever has only the published keys reads them."""
        return self.verified(self.issue(**arguments).body["token"])

    def verified(self, token: str) -> dict[str, Any]:
        return dict(jwt.decode(token, self.keys(), algorithms=["ES256"]).claims)

    def keep(self, value: Mapping[str, object], operation: str = "PutSecretValue", name: str = "SecretId") -> None:
        text = {name: self.secret_id, "SecretString": json.dumps(value), "ClientRequestToken": uuid.uuid4().hex}
        self.aws.call(operation, text)


@pytest.fixture
def bare(database_url: str, aws_endpoint: str, table_name: str) -> Iterator[Signer]:
    """As a deployment leaves it: no key is made yet."""
    with run_clerk(database_url, aws_endpoint, table_name) as clerk:
        aws = AwsClient(SECRETS_MANAGER, 5, {**CREDENTIALS, "AWS_ENDPOINT_URL": aws_endpoint})
        signer = Signer(clerk, aws)
        signer.keep({"keys": [], "placeholder": "random"}, "CreateSecret", "Name")
        yield signer
        aws.close()


@pytest.fixture
def signer(bare: Signer) -> Signer:
    assert bare.rotate().status == 200
    return bare


# --- what is signed --------------------------------------------------------------------------------------------------


def test_a_token_has_what_the_user_holds_and_ends_in_five_minutes(signer: Signer) -> None:
    signer.clerk.subscribe("ann")
    now = int(signer.clerk.clock.timestamp())
    said = signer.said()
    assert said.pop("version") > 0
    assert said == {
        "iss": "billing-test",
        "aud": "notes",
        "sub": "ann",
        "iat": now,
        "exp": now + 300,
        "entitlements": {
            "export": {"value": True, "valid_to": rfc3339(ENDS)},
            "seats": {"value": 2, "valid_to": rfc3339(ENDS)},
        },
    }


def test_the_answer_says_when_the_token_ends(signer: Signer) -> None:
    answer = signer.issue()
    assert parse_rfc3339(answer.body["expires_at"]).timestamp() == signer.verified(answer.body["token"])["exp"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_user_nobody_knows_gets_a_token_of_nothing(signer: Signer) -> None:
    assert signer.said(user_id="nobody")["entitlements"] == {}


@pytest.mark.parametrize("warm", [False, True], ids=["from the store", "from the cache"])
def test_no_token_outlives_the_window_of_what_it_grants(signer: Signer, *, warm: bool) -> None:
    signer.clerk.subscribe("ann")
    signer.clerk.clock = ENDS - 90 * SECOND
    if warm:
        signer.issue()
    assert signer.said()["exp"] == ENDS.timestamp()


def test_nor_a_kept_answer_that_is_evaluated_anew(signer: Signer) -> None:
    signer.clerk.subscribe("ann")
    signer.clerk.clock = ENDS - 200 * SECOND
    signer.issue()
    signer.clerk.world.deny("ann", "seats", now=ENDS - 100 * SECOND)
    signer.clerk.clock = ENDS - 150 * SECOND
    publish_customer(signer.clerk.publisher, signer.clerk.world.customer("ann"), signer.clerk.clock)
    assert signer.said()["exp"] == (ENDS - 100 * SECOND).timestamp()
    signer.clerk.clock = ENDS - 50 * SECOND
    said = signer.said()
    assert (said["exp"], list(said["entitlements"])) == (ENDS.timestamp(), ["export"])


def test_while_the_store_is_away_a_token_says_that_it_is_old_and_ends_within_a_minute(signer: Signer) -> None:
    signer.clerk.subscribe("ann")
    signer.issue()
    signer.clerk.clock += FRESH + FRESH
    said = signer.said(store=False)
    assert said["stale"] is True
    assert said["exp"] - said["iat"] == 60
    assert "export" in said["entitlements"]


def test_it_costs_one_read_of_the_cache_and_none_of_the_store(signer: Signer) -> None:
    signer.clerk.subscribe("ann")
    signer.issue()
    signer.clerk.table_api.calls.clear()
    assert signer.issue(store=False).status == 200
    assert [name for name, _ in signer.clerk.table_api.calls] == ["BatchGetItem"]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (422, "invalid_request")),
        ({"user_id": ""}, (422, "invalid_request")),
        ({"user_id": 7}, (422, "invalid_request")),
        ({"user_id": "ann", "feature": "export"}, (422, "invalid_request")),
        ("{", (400, "malformed_request")),
        ({"user_id": "x" * 70_000}, (413, "request_too_large")),
    ],
)
def test_a_body_that_is_none_is_refused(signer: Signer, body: object, expected: tuple[int, str]) -> None:
    answer = signer.ask(ISSUE.route, body, key=signer.clerk.project_key)
    assert (answer.status, answer.code) == expected


def test_only_a_projects_key_has_tokens_and_only_an_operators_has_the_keys(signer: Signer) -> None:
    assert signer.issue(key="bk_test_guess").code == "invalid_api_key"
    assert signer.issue(key=signer.clerk.admin_key).code == "wrong_role"
    for route, body in ((SHOW.route, None), (ROTATE.route, {})):
        assert signer.ask(route, body, key=signer.clerk.project_key).code == "wrong_role"
        assert signer.ask(route, body).code == "invalid_api_key"


def test_with_cache_and_store_out_of_reach_there_is_no_token(signer: Signer) -> None:
    signer.clerk.table_api.every = "broken"
    answer = signer.issue(store=False)
    assert (answer.status, answer.body["retryable"]) == (503, True)


def test_before_the_first_key_the_refusal_names_the_command(bare: Signer) -> None:
    answer = bare.issue()
    assert (answer.status, answer.code) == (503, "signing_key_unset")
    assert "billing signing-key rotate" in answer.body["detail"]
    keys = bare.ask(KEY_SET.route)
    assert (keys.body["keys"], keys.headers["cache-control"]) == ([], "no-store")


def test_a_secret_that_is_no_such_secret_is_no_empty_one(bare: Signer) -> None:
    bare.keep({"keys": "none"})
    assert bare.ask(KEY_SET.route).status == 500
    assert bare.rotate().status == 500


def test_missing_settings_stop_the_cold_start() -> None:
    with pytest.raises(BadSettings, match="SIGNING_KEYS_SECRET_ID is missing"):
        build(CREDENTIALS)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_the_key_set_may_be_kept_for_five_minutes_and_is_asked_for_again_by_its_tag(signer: Signer) -> None:
    first = signer.ask(KEY_SET.route)
    assert first.headers["cache-control"] == "public, max-age=300"
    again = signer.ask(KEY_SET.route, headers={"If-None-Match": f'W/{first.headers["etag"]}, "other"'})
    assert (again.status, again.text) == (304, "")


def test_through_a_rotation_every_token_verifies_with_the_keys_as_fetched_five_minutes_before(signer: Signer) -> None:
    began = signer.clerk.clock
    fetched, tokens = signer.keys(), []
    assert signer.rotate().status == 200
    for minute in range(0, 40, 4):
        signer.clerk.clock = began + timedelta(minutes=minute)
        tokens.append(signer.issue().body["token"])
        jwt.decode(tokens[-1], fetched, algorithms=["ES256"])
        if minute:
            signer.verified(tokens[-2])
        fetched = signer.keys()
    assert len({jwt.decode(token, fetched, algorithms=["ES256"]).header["kid"] for token in tokens[-2:]}) == 1


def test_a_rotation_goes_on_by_the_clock_alone(signer: Signer) -> None:
    began = signer.clerk.clock
    seen = []
    signer.rotate()
    for age in (timedelta(0), PUBLISHED_AHEAD, PUBLISHED_AHEAD + WITHDRAWN_AFTER):
        signer.clerk.clock = began + age
        seen.append((signer.states(), len(signer.keys().keys)))
    assert seen == [(["current", "next"], 2), (["previous", "current"], 2), (["withdrawn", "current"], 1)]


def test_a_second_rotation_meanwhile_is_refused(signer: Signer) -> None:
    assert signer.rotate().status == 200
    answer = signer.rotate()
    assert (answer.status, answer.code) == (409, "signing_key_rotating")


def test_a_repeated_request_rotates_once(signer: Signer) -> None:
    first, again = (signer.rotate(idempotency="one") for _ in range(2))
    assert (again.status, again.text) == (200, first.text)
    assert len(signer.states()) == 2


def test_a_key_that_others_may_know_is_withdrawn_at_once(signer: Signer) -> None:
    old = signer.issue().body["token"]
    assert signer.rotate(at_once=True, reason="a laptop was stolen").status == 200
    assert signer.states() == ["current"]
    with pytest.raises(InvalidKeyIdError):
        signer.verified(old)
    assert signer.said()["sub"] == "ann"


def test_a_rotation_is_in_the_audit_log_with_who_and_why_and_no_key_anywhere(signer: Signer) -> None:
    signer.rotate(reason="yearly")
    rows = signer.clerk.rows(
        "SELECT actor, action, reason FROM audit WHERE action = 'signing-key.rotate' ORDER BY 1, 3"
    )
    assert ("ann the operator", "signing-key.rotate", "yearly") in rows
    private = signer.aws.call("GetSecretValue", {"SecretId": signer.secret_id})["SecretString"]
    assert "PRIVATE KEY" in private
    told = signer.log.getvalue() + str(signer.clerk.rows("SELECT audit FROM audit")) + signer.ask(KEY_SET.route).text
    assert "PRIVATE" not in told
    assert "eyJ" not in told
