import base64
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from billing.errors import Refused, Transient
from billing.http.exchange import Request, Response, parse, serve, single
from billing.runtime.log import Log

EVENT: dict[str, Any] = {
    "resource": "/api/v1/entitlements",
    "path": "/local/api/v1/entitlements",
    "httpMethod": "GET",
    "headers": {"If-None-Match": '"b"'},
    "multiValueHeaders": {"If-None-Match": ['"a"', '"b"']},
    "queryStringParameters": {"user_id": "u"},
    "multiValueQueryStringParameters": {"user_id": ["u"]},
    "requestContext": {"requestId": "req-1"},
    "body": None,
    "isBase64Encoded": False,
}


def served(handle: Any, event: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    stream = io.StringIO()
    context = SimpleNamespace(aws_request_id="fn-1")
    answer = serve(event or EVENT, context, Log("test", stream=stream), handle)
    return answer, [json.loads(line) for line in stream.getvalue().splitlines()]


def test_header_names_are_lower_case_and_every_value_is_kept() -> None:
    request = parse(EVENT)
    assert request.headers["if-none-match"] == ['"a"', '"b"']
    assert request.header("if-none-match") == '"a","b"'
    assert request.header("absent") is None


def test_the_route_is_the_apis_own_whatever_stage_was_called() -> None:
    assert parse(EVENT).route == "/api/v1/entitlements"


def test_an_event_with_plain_headers_only_is_read_too() -> None:
    request = parse({"path": "/healthz", "headers": {"X-A": "1"}, "queryStringParameters": {"q": "2"}})
    assert (request.method, request.route, request.headers, request.query) == (
        "GET",
        "/healthz",
        {"x-a": ["1"]},
        {"q": ["2"]},
    )


@pytest.mark.parametrize("body", ["{}", "é\r\n", "\ufeff{}", "\x00", ""])
def test_a_body_is_the_same_bytes_plain_or_in_base64(body: str) -> None:
    plain = parse({**EVENT, "body": body}).body()
    encoded = parse({**EVENT, "body": base64.b64encode(body.encode()).decode(), "isBase64Encoded": True}).body()
    assert plain == encoded == body.encode()


@pytest.mark.parametrize("body", ["%%%", "YWJ", "é"])
def test_a_body_that_says_base64_and_is_not_is_malformed(body: str) -> None:
    with pytest.raises(Refused, match="malformed_request"):
        parse({**EVENT, "body": body, "isBase64Encoded": True}).body()


def test_a_lone_surrogate_in_a_body_is_bytes_like_any_other() -> None:
    assert parse({**EVENT, "body": "\ud800"}).body() == b"\xed\xa0\x80"


@pytest.mark.parametrize("values", [[], ["a", "a"]])
def test_a_parameter_is_given_exactly_once(values: list[str]) -> None:
    request = Request("GET", "/", {}, {"user_id": values}, "r", {})
    with pytest.raises(Refused) as caught:
        single(request, "user_id")
    assert [fault.pointer for fault in caught.value.fields] == ["?user_id"]


def test_an_answered_request_logs_exactly_one_line() -> None:
    answer, lines = served(lambda _request: Response(200, "{}", {"x-a": "1"}, {"road": "hit"}))
    assert answer == {
        "statusCode": 200,
        "headers": {"content-type": "application/json", "x-a": "1"},
        "body": "{}",
        "isBase64Encoded": False,
    }
    (line,) = lines
    assert line["message"] == "GET /api/v1/entitlements 200"
    assert (line["correlation_id"], line["function_request_id"], line["road"]) == ("req-1", "fn-1", "hit")


def test_a_refusal_is_a_problem_with_the_request_id() -> None:
    def handle(_request: Request) -> Response:
        raise Refused("not_found", "There is none.")

    answer, (line,) = served(handle)
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["request_id"] == "req-1"
    assert (line["level"], line["code"], "exception" in line) == ("INFO", "not_found", False)


def test_a_transient_fault_is_logged_with_its_cause() -> None:
    def handle(_request: Request) -> Response:
        raise Transient("unavailable", "Try again.") from OSError("connection refused by 10.0.0.1")

    answer, (line,) = served(handle)
    assert answer["statusCode"] == 503
    assert "10.0.0.1" not in answer["body"]
    assert "10.0.0.1" in line["exception"]


def test_a_defect_is_a_500_that_tells_nothing_and_is_logged_whole() -> None:
    def handle(_request: Request) -> Response:
        raise RuntimeError("table users has no column shoe_size")

    answer, (line,) = served(handle)
    document = json.loads(answer["body"])
    assert (answer["statusCode"], document["code"], document["retryable"]) == (500, "internal", False)
    assert "shoe_size" not in answer["body"]
    assert (line["level"], line["exception_name"]) == ("ERROR", "RuntimeError")
    assert "shoe_size" in line["exception"]
