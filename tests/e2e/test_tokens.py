"""Signed tokens as another service meets them: with nothing but the token and the published keys."""

import time
import uuid
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError
from joserfc.jwk import KeySet

from infra.local.browser import open_page, press
from infra.local.double import control
from infra.local.story import App, until
from tests.e2e.test_story import order

TOKEN = "/api/v1/entitlements/token"
JWKS = "/.well-known/jwks.json"
PATIENCE = 70.0
"""Seconds. Another test may just have rotated the keys at once, which every copy of the function learns in a minute."""


def said(app: App, user_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        token = app.must("POST", TOKEN, {"user_id": user_id})["token"]
        keys = KeySet.import_key_set(app.http.request("GET", app.stack.api_url + JWKS).json())
        try:
            return dict(jwt.decode(token, keys, algorithms=["ES256"]).claims)
        except InvalidKeyIdError:
            assert time.monotonic() < deadline, "the key set never had the key that signs"
            time.sleep(1)


def test_what_is_bought_is_in_the_token_and_what_is_refunded_is_in_the_next_no_more(app: App) -> None:
    user_id = f"user-{uuid.uuid4().hex[:10]}"
    assert said(app, user_id)["entitlements"] == {}

    checkout = app.must("POST", "/api/v1/checkout", order(user_id, lookup_key="lifetime"))
    press(open_page(checkout["url"]), "Pay")
    until(lambda: app.check(user_id, "notes"), lambda found: bool(found["allowed"]))
    bought = said(app, user_id)
    assert (bought["sub"], bought["aud"]) == (user_id, app.stack.project_id)
    assert bought["entitlements"]["notes"] == {"value": 10_000}
    assert bought["exp"] - bought["iat"] == 300

    control(app.stack.stripe_url, f"charges/{checkout['session_id']}/refund")
    until(lambda: app.check(user_id, "notes"), lambda found: not found["allowed"])
    refunded = said(app, user_id)
    assert refunded["entitlements"] == {}
    assert refunded["version"] > bought["version"]
