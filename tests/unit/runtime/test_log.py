import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from billing.runtime.log import Log


def written(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def test_a_line_has_the_members_powertools_writes() -> None:
    stream = io.StringIO()
    Log("checks", stream=stream).request(
        "GET /x 200", SimpleNamespace(aws_request_id="r-1"), correlation_id="c-1", status=200
    )
    line = written(stream)
    assert line.pop("timestamp")[-5:] == "+0000"
    assert line == {
        "level": "INFO",
        "message": "GET /x 200",
        "service": "checks",
        "cold_start": True,
        "function_request_id": "r-1",
        "correlation_id": "c-1",
        "status": 200,
    }


def test_only_the_first_request_is_a_cold_start() -> None:
    stream = io.StringIO()
    log = Log("checks", stream=stream)
    log.request("one", None)
    log.request("two", None)
    assert [json.loads(line)["cold_start"] for line in stream.getvalue().splitlines()] == [True, False]


@pytest.mark.parametrize(
    "secret",
    [
        "bk_live_abcdefgh0123456789abcdef",
        "sk_test_51Habc",
        "rk_live_51Habc",
        "whsec_abc/def+ghi=",
        "someone.else+tag@mail.example.org",
    ],
)
def test_keys_secrets_and_mail_addresses_are_blotted_out_wherever_they_hide(secret: str) -> None:
    stream = io.StringIO()
    Log("checks", stream=stream).error("about " + secret, ValueError(f"it said {secret}"), nested={"deep": [secret]})
    assert secret not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") >= 3


def test_the_password_of_an_address_is_blotted_out() -> None:
    stream = io.StringIO()
    Log("checks", stream=stream).info("cannot reach postgresql://billing:hunter2@db.internal:5432/billing")
    assert "hunter2" not in stream.getvalue()
    assert "db.internal" in stream.getvalue()


def test_an_exception_comes_with_its_name_and_trace() -> None:
    stream = io.StringIO()
    try:
        int("absent")
    except ValueError as error:
        Log("checks", stream=stream).error("broke", error)
    line = written(stream)
    assert line["exception_name"] == "ValueError"
    assert "test_log.py" in line["exception"]


def test_a_count_is_a_cloudwatch_metric_in_the_same_line() -> None:
    stream = io.StringIO()
    Log("webhooks", "ERROR", stream, stage="prod").request("POST /x 400", None, counts={"BadSignature": 1})
    line = written(stream)
    assert line["BadSignature"] == 1
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Metrics"] == [{"Name": "BadSignature", "Unit": "Count"}]
    assert (directive["Namespace"], directive["Dimensions"]) == ("billing-prod", [["service"]])


def test_a_gauge_is_told_apart_by_dimensions_beside_the_service() -> None:
    stream = io.StringIO()
    Log("outbox", stream=stream).measure("revenue", {"MrrMinorUnits": 1_200}, currency="eur")
    line = written(stream)
    assert (line["MrrMinorUnits"], line["currency"]) == (1_200, "eur")
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service", "currency"]]


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    log = Log("checks", "WARNING", stream)
    log.debug("no")
    log.info("no")
    log.warning("yes")
    assert written(stream)["message"] == "yes"


def test_an_unknown_level_stops_the_cold_start() -> None:
    with pytest.raises(ValueError, match="LOG_LEVEL"):
        Log("checks", "LOUD")
