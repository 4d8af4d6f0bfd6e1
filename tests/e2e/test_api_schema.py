"""Requests that schemathesis makes up from docs/openapi.json, right and wrong ones, against the running system.

None is answered 5xx, or otherwise than the contract tells: status, problem code, media type, headers, shape. What the
contract forbids is refused. `make fuzz CASES=2000` goes on for longer.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case, CheckContext, Response
from schemathesis.checks import not_a_server_error
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from infra.local.kept import Stack
from infra.local.seed import APP_URL
from infra.openapi import DOCUMENT

CASES = int(os.environ.get("FUZZ_CASES", "0"))
"""Of each operation, drawn at random; 0: only the systematic ones, of every boundary of every member."""

LARGE = ["applyCatalog"]
"""Their systematic cases are a third of all: drawn at random, a few, where time is short."""

FUZZ = "fuzz"
CATALOG = {
    "features": [{"code": "export", "type": "boolean"}, {"code": "seats", "type": "limit"}],
    "products": [
        {
            "key": "fuzz",
            "name": "Fuzz",
            "benefits": [{"feature": "export"}],
            "prices": [{"lookup_key": "fuzz_monthly", "currency": "eur", "unit_amount": 900, "interval": "month"}],
        }
    ],
}

CONTRACT = schemathesis.openapi.from_path(
    DOCUMENT,
    config=schemathesis.Config.from_dict(
        {
            # what a method that no route has is answered is the gateway's word, not ours
            "phases": {"coverage": {"unexpected-methods": []}},
            "generation": {"with-security-parameters": False},
            "operations": []
            if CASES
            else [{"include-operation-id": name, "phases": {"coverage": {"enabled": False}}} for name in LARGE],
        }
    ),
)


@schemathesis.check
def problem_code_conformance(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """A problem's code is one that the contract tells of this operation and status."""
    if response.status_code >= 400:
        told = case.operation.definition.raw["responses"][str(response.status_code)]["x-codes"]
        assert response.json()["code"] in told


CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    problem_code_conformance,
]


@dataclass
class Target:
    """The running system, the ids of things there are in it, and what it has answered."""

    stack: Stack
    things: Mapping[str, str]
    http: requests.Session
    answers: Counter[int] = field(default_factory=Counter)

    def send(self, case: Case[Any], *checks: Any) -> None:
        schemes = case.operation.definition.raw["security"]
        headers = bearer(self.key(schemes[0])) if schemes else {}
        if isinstance(case.body, dict) and case.body.get("at_once") is True:
            case.body["at_once"] = False  # other tests verify tokens by the keys there are
        response = case.call(base_url=self.stack.api_url, headers=headers, session=self.http)
        self.answers[response.status_code] += 1
        case.validate_response(response, checks=[*CHECKS, *checks])

    def aimed(self, case: Case[Any]) -> bool:
        """Put the ids of things there are in the place of made-up ones; whether there was any."""
        changed = False
        if case.operation.definition.raw["security"] == [{"projectKey": []}]:
            known = {**self.things, "project_id": self.stack.project_id, "lookup_key": "pro_monthly"}
        else:
            known = dict(self.things)
        for part in (case.path_parameters, case.query, case.body):
            changed = _aim(part, known) or changed
        return changed

    def key(self, scheme: Mapping[str, Any]) -> str:
        """Of Stripe's signature there is none here: forged ones are refused alike."""
        return {"projectKey": self.stack.project_key, "adminKey": self.stack.admin_key}.get(next(iter(scheme)), "")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _aim(part: Any, known: Mapping[str, str]) -> bool:
    members = list(part.items()) if isinstance(part, dict) else list(enumerate(part)) if isinstance(part, list) else []
    changed = False
    for name, value in members:
        if isinstance(name, str) and isinstance(value, str) and name in known:
            part[name], changed = known[name], True
        else:
            changed = _aim(value, known) or changed
    return changed


@pytest.fixture(scope="module")
def target(stack: Stack) -> Iterator[Target]:
    """A project of its own may be suspended and lose its keys; so may one operator's key that nobody uses."""
    with requests.Session() as http:
        made = Target(stack, _things(stack, http), http)
        yield made
        broken = sum(number for status, number in made.answers.items() if status >= 500)
        print(f"\n{made.answers.total()} cases, {broken} answered 5xx; {dict(sorted(made.answers.items()))}")  # noqa: T201


def _things(stack: Stack, http: requests.Session) -> dict[str, str]:
    def ask(method: str, path: str, body: object = None) -> Any:
        url, headers = f"{stack.api_url}/api/v1/admin/{path}", bearer(stack.admin_key)
        answer = http.request(method, url, json=body, headers=headers, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    ask("POST", "projects", {"id": FUZZ, "name": "Fuzz", "allowed_origins": [APP_URL]})
    ask("PUT", f"catalog?project_id={FUZZ}", CATALOG)
    grant = {"project_id": FUZZ, "user_id": "ann", "feature": "export", "reason": "a test"}
    granted = ask("POST", "grant", grant)
    return {
        "project_id": FUZZ,
        "user_id": "ann",
        "feature": "export",
        "lookup_key": "fuzz_monthly",
        "success_url": APP_URL,
        "cancel_url": APP_URL,
        "return_url": APP_URL,
        "key_id": ask("POST", f"projects/{FUZZ}/keys", {"name": "spare"})["id"],
        "grant_id": granted["grants"][0]["id"],
        "event_id": ask("GET", "events?limit=1")["data"][0]["event_id"],
    }


@CONTRACT.parametrize()
@settings(
    max_examples=CASES or 5,
    deadline=None,
    derandomize=not CASES,
    database=None,
    phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if CASES else [])],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_contract_tells(case: Case[Any], target: Target) -> None:
    target.send(case, negative_data_rejection)
    drawn = case.meta is None or case.meta.phase.name is not TestPhase.COVERAGE
    if (CASES or drawn) and target.aimed(case):  # which may make a wrong one right
        target.send(case)


def locked() -> Iterator[Any]:
    """Every operation that needs a key, and the keys' schemes that open it."""
    for path, methods in CONTRACT.raw_schema["paths"].items():
        for method, operation in methods.items():
            schemes = [next(iter(scheme)) for scheme in operation["security"]]
            if set(schemes) & {"projectKey", "adminKey"}:
                yield pytest.param(method.upper(), path, schemes, id=f"{method.upper()} {path}")


@pytest.mark.parametrize(("method", "path", "schemes"), list(locked()))
def test_a_route_opens_to_its_own_kind_of_key_alone(method: str, path: str, schemes: list[str], target: Target) -> None:
    # checks and tokens read what is asked first
    url = target.stack.api_url + re.sub(r"\{\w+\}", "x", path) + "?user_id=x&feature=x"
    body = {"user_id": "x"} if path.endswith("/token") else {"checks": [{"user_id": "x", "feature": "x"}]}
    refused = {("", 401)} | {(target.key({one: []}), 403) for one in ("projectKey", "adminKey") if one not in schemes}
    for key, status in refused:
        answer = target.http.request(method, url, json=body, headers=bearer(key), timeout=30)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
