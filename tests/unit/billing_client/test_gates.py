"""A view that only those who hold a feature get into, in the frameworks themselves."""

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any

import django
import httpx
import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from fastapi import Depends, FastAPI, Request
from flask import Flask, g
from flask import request as flask_request

import billing_client.django as for_django
import billing_client.fastapi as for_fastapi
import billing_client.flask as for_flask
from billing_client import Check
from billing_client.testing import FakeBilling

Answer = tuple[int, Any, Any]
Ask = Callable[[FakeBilling, str | None], Answer]


def by_fastapi(fake: FakeBilling, user_id: str | None) -> Answer:
    async def who(request: Request) -> str | None:
        return request.headers.get("x-user")

    gate = for_fastapi.Gate(fake.async_client(), user_id=who)
    app = FastAPI()

    @app.get("/seats")
    async def seats(check: Annotated[Check, Depends(gate("seats"))]) -> Any:
        return check.value

    async def ask() -> Answer:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as http:
            answer = await http.get("/seats", headers=headers(user_id))
        told = answer.json()
        return answer.status_code, told.get("detail", told) if isinstance(told, dict) else told, answer.headers

    return asyncio.run(ask())


def by_flask(fake: FakeBilling, user_id: str | None) -> Answer:
    gate = for_flask.Gate(fake.client(), user_id=lambda: flask_request.headers.get("x-user"))
    app = Flask(__name__)

    @app.get("/seats")
    @gate("seats")
    def seats() -> str:
        return json.dumps(g.billing_check.value)

    answer = app.test_client().get("/seats", headers=headers(user_id))
    return answer.status_code, json.loads(answer.data), answer.headers


def by_django(fake: FakeBilling, user_id: str | None) -> Answer:
    gate = for_django.Gate(fake.client(), user_id=lambda request: request.headers.get("x-user"))

    @gate("seats")
    def seats(request: Any) -> HttpResponse:
        return HttpResponse(json.dumps(request.billing_check.value))

    answer = seats(RequestFactory().get("/seats", headers=headers(user_id)))
    return answer.status_code, json.loads(answer.content), answer.headers


def by_async_django(fake: FakeBilling, user_id: str | None) -> Answer:
    gate = for_django.Gate(fake.async_client(), user_id=lambda request: request.headers.get("x-user"))

    @gate("seats")
    async def seats(request: Any) -> HttpResponse:
        return HttpResponse(json.dumps(request.billing_check.value))

    answer = asyncio.run(seats(AsyncRequestFactory().get("/seats", headers=headers(user_id))))
    return answer.status_code, json.loads(answer.content), answer.headers


def headers(user_id: str | None) -> dict[str, str]:
    return {} if user_id is None else {"x-user": user_id}


@pytest.fixture(autouse=True, scope="module")
def _django() -> None:
    django_settings.configure(ALLOWED_HOSTS=["testserver"], DEFAULT_CHARSET="utf-8")
    django.setup()


everywhere = pytest.mark.parametrize("ask", [by_fastapi, by_flask, by_django, by_async_django])


@everywhere
def test_who_holds_the_feature_gets_in_and_the_view_sees_the_check(ask: Ask) -> None:
    fake = FakeBilling()
    fake.grant("ada", "seats", 5)

    status, value, _ = ask(fake, "ada")

    assert (status, value) == (200, 5)


@everywhere
def test_who_does_not_is_told_which_feature_and_why(ask: Ask) -> None:
    status, problem, _ = ask(FakeBilling(), "ada")

    assert (status, problem["code"], problem["feature"], problem["reason"]) == (
        403,
        "not_entitled",
        "seats",
        "no_source",
    )


@everywhere
def test_who_is_not_signed_in_is_not_asked_about(ask: Ask) -> None:
    fake = FakeBilling()

    status, problem, _ = ask(fake, None)

    assert (status, problem["code"], fake.requests) == (401, "not_signed_in", ())


@everywhere
def test_where_nobody_can_tell_it_is_no_refusal(ask: Ask) -> None:
    fake = FakeBilling()
    fake.grant("ada", "seats", 5)

    with fake.down():
        status, problem, told = ask(fake, "ada")

    assert (status, problem["code"], told["retry-after"]) == (503, "billing_unavailable", "2")


def test_a_view_is_gated_by_a_client_of_its_kind() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with FakeBilling().client() as billing, pytest.raises(TypeError, match="AsyncBillingClient"):
        for_django.Gate(billing, user_id=lambda _: "ada")("export")(view)
