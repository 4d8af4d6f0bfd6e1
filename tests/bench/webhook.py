"""Accepting a delivery of Stripe's ÷ a handler that only answers, both in Lambda's own runtime, as CPU of the process.

Two thirds of the work are the message: base64 of the body, its JSON, the signature over it for SQS.
"""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

from tests.bench.burst_events import event_body
from tests.bench.canned import canned
from tests.bench.check_scene import CREDENTIALS, EVENTS
from tests.bench.lambda_runtime import Runtime, cpu_of, run_function
from tests.bench.table import Row, medians, pairs, ratios

CALLS = 500
SECRET = "whsec_bench"
ANSWER = json.dumps({"SecretString": json.dumps({"secrets": [SECRET]}), "MessageId": "m-1"}).encode()
"""Secrets Manager's and SQS's in one: each reads its own member."""


def rows(count: int) -> Iterator[Row]:
    with canned(ANSWER) as url:
        environ = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": url,
            "QUEUE_URL": f"{url}/queue",
            "STRIPE_WEBHOOK_SECRET_ID": "webhook",
        }
        with (
            run_function("functions.webhooks.handler.lambda_handler", environ) as ours,
            run_function("tests.bench.trivial.silent", {}) as nothing,
        ):
            once(ours), once(nothing)
            seen = pairs(lambda: once(ours), lambda: once(nothing), count)
    first, second = medians(seen)
    note = f"{first:.0f} µs ÷ {second:.0f} µs of CPU"
    yield Row("webhook accepted, in awslambdaric ÷ a no-op", ratios(seen), None, note=note)


def once(runtime: Runtime) -> float:
    return cpu_of(runtime, delivery(), CALLS)


def delivery() -> dict[str, Any]:
    """The sample's event with a subscription's body, signed now: a signature is good for five minutes."""
    body = event_body("evt_bench", 1, second=0, quantity=1)
    at = str(int(time.time()))
    signature = hmac.digest(SECRET.encode(), at.encode() + b"." + body, "sha256").hex()
    event: dict[str, Any] = json.loads((EVENTS / "webhooks-forged.json").read_text("utf-8"))
    event["multiValueHeaders"]["Stripe-Signature"] = [f"t={at},v1={signature}"]
    return {**event, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
