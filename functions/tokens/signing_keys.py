"""The operators' doors to the keys that sign tokens. No answer, log line or audit row has a private half."""

from __future__ import annotations

from collections.abc import Sequence

from billing.domain.token_keys import SigningKey, states
from billing.http.app import Admin, admin_of, digest_of, idempotency_key
from billing.http.exchange import Request, Response
from billing.http.operations import asked, of
from billing.store import audit
from billing.store.connection import Connection
from billing.usecases import manage_signing_keys
from billing.usecases.once import Finished, once
from billing.usecases.once import Request as Once
from billing.usecases.operator import Operator
from functions.tokens.desk import Desk
from functions.tokens.operations import ROTATE, SHOW, SigningKeyAnswer, SigningKeys, SigningRotation

_ALL = "*"
"""The scope of operators' Idempotency-Keys: no project can be called that."""


def show(desk: Desk, request: Request) -> Response:
    admin = admin_of(desk.database_url, request, desk.now())
    asked(SHOW, request)
    told = _told(desk, manage_signing_keys.read_keys(desk.secret))
    return _answered(admin, 200, told.model_dump_json(), replayed=False)


def rotate(desk: Desk, request: Request) -> Response:
    admin = admin_of(desk.database_url, request, desk.now())
    said = asked(ROTATE, request)
    body = of(SigningRotation, said.body)

    def work() -> Finished:
        told = _told(desk, manage_signing_keys.rotate(desk.secret, desk.now(), at_once=body.at_once))
        act = Operator(admin.name, admin.key_id, request.request_id).act(
            "signing-key.rotate",
            "signing keys",
            project_id=None,
            reason=body.reason,
            after={"at_once": body.at_once, "kids": [each.kid for each in told.keys]},
        )

        def record(connection: Connection) -> None:
            audit.append(connection, act, desk.now())

        return Finished(ROTATE.status, told.model_dump_json(), record)

    key = Once(_ALL, ROTATE.route, idempotency_key(request), digest_of(said.document))
    outcome = once(desk.database_url, key, work)
    return _answered(admin, outcome.status, outcome.body, replayed=outcome.replayed)


def _told(desk: Desk, keys: Sequence[SigningKey]) -> SigningKeys:
    return SigningKeys(
        keys=[
            SigningKeyAnswer(kid=key.kid, state=state, created_at=key.created_at, signs_from=key.signs_from)
            for key, state in zip(keys, states(keys, desk.now()), strict=True)
        ]
    )


def _answered(admin: Admin, status: int, body: str, *, replayed: bool) -> Response:
    headers = {"cache-control": "no-store"} | ({"idempotent-replayed": "true"} if replayed else {})
    return Response(status, body, headers, {"key_id": admin.key_id, "replayed": replayed})
