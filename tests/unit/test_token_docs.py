"""docs/tokens.md: its example verifies our tokens, and refuses whatever is not one."""

import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from billing.domain.tokens import claims_of
from billing.domain.windows import FOREVER, from_seconds
from billing.runtime.es256 import generate, public_jwk, sign_jwt
from billing.usecases.issue_token import TYPE

PAGE = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text("utf-8")
PRIVATE, STRANGER = generate(), generate()
KID = public_jwk(PRIVATE)["kid"]
KEYS = {"issuer": "billing-prod", "keys": [public_jwk(PRIVATE)]}
HEADER = {"kid": KID, "typ": TYPE}
LISTED = {
    "project_id": "notes",
    "user_id": "ann",
    "version": 7,
    "entitlements": [{"feature": "export", "value": True, "valid_to": None}],
    "stale": False,
}


def example() -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  the page's own text is what is tried
    found: Callable[[str, dict[str, Any]], dict[str, Any]] = names["verified"]
    return found


def claims(issuer: str = "billing-prod", age: int = 0, **changes: object) -> dict[str, Any]:
    return claims_of({**LISTED, **changes}, FOREVER, issuer, from_seconds(int(time.time()) - age))


def token(**arguments: Any) -> str:
    return sign_jwt(PRIVATE, HEADER, claims(**arguments))


def part(document: object) -> str:
    return urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def tampered() -> str:
    head, body, signature = token().split(".")
    said = json.loads(urlsafe_b64decode(body + "=="))
    return f"{head}.{part({**said, 'entitlements': {'everything': {'value': True}}})}.{signature}"


def of_a_shared_secret() -> str:
    """Signed with what everybody knows: the public key, as if it were one."""
    secret = OctKey.import_key(json.dumps(public_jwk(PRIVATE)))
    return jwt.encode({"alg": "HS256", **HEADER}, claims(), secret)


REFUSED = {
    "tampered with": tampered,
    "alg none": lambda: f"{part({'alg': 'none', **HEADER})}.{part(claims())}.",
    "of a shared secret": of_a_shared_secret,
    "of another key by our name": lambda: sign_jwt(STRANGER, HEADER, claims()),
    "of another key by its own": lambda: sign_jwt(STRANGER, {**HEADER, "kid": "stranger"}, claims()),
    "of another kind": lambda: sign_jwt(PRIVATE, {**HEADER, "typ": "JWT"}, claims()),
    "another project's": lambda: token(project_id="strangers"),
    "another deployment's": lambda: token(issuer="billing-staging"),
    "over": lambda: token(age=300),
    "no token": lambda: "a.b.c",
}


def test_the_example_tells_what_a_token_says() -> None:
    assert example()(token(), KEYS)["entitlements"] == {"export": {"value": True}}


def test_the_example_knows_a_key_among_several() -> None:
    keys = {"keys": [public_jwk(STRANGER), public_jwk(PRIVATE)]}
    assert example()(token(), keys)["sub"] == "ann"


@pytest.mark.parametrize("made", REFUSED.values(), ids=REFUSED)
def test_the_example_refuses_what_is_no_token_of_ours(made: Callable[[], str]) -> None:
    with pytest.raises((JoseError, ValueError)):
        example()(made(), KEYS)
