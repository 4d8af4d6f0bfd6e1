"""Invoke a deployed function with a sample event, through the emulator's Lambda API."""

import hashlib
import hmac
import json
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from billing.messages.queue import message_of, to_message
from infra.local.deploy import function_name, session
from infra.local.kept import Stack
from infra.local.processes import LocalStackError
from infra.routes import FUNCTIONS

WEBHOOK = "/api/v1/webhooks/stripe"


def invoke(stack: Stack, function: str, event_file: Path) -> str:
    """What the function returned, as indented JSON. Raises LocalStackError with the function's own error.

    In the sample, `PROJECT_KEY` and `ADMIN_KEY` stand for the running system's. One of Stripe's own events is handed
    over as it would arrive: signed over HTTP to `webhooks`, in a queue's message to `apply_events`.
    """
    if function not in FUNCTIONS:
        raise LocalStackError(f"There is no function {function!r}. Choose FN from: {', '.join(FUNCTIONS)}.")
    if not event_file.is_file():
        raise LocalStackError(f"There is no sample {event_file}. `ls events/*` shows them; EVENT is a path.")
    text = event_file.read_text().replace("PROJECT_KEY", stack.project_key).replace("ADMIN_KEY", stack.admin_key)
    event = _event(stack, function, text)
    client = session().client("lambda", endpoint_url=stack.aws_endpoint_url)
    answer = client.invoke(FunctionName=function_name(stack.prefix, function), Payload=json.dumps(event).encode())
    payload: Any = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        raise LocalStackError(f"{function} failed: {payload.get('errorMessage', payload)}")
    return json.dumps(_readable(payload), indent=2, ensure_ascii=False)


def _event(stack: Stack, function: str, text: str) -> Any:
    try:
        event = json.loads(text)
    except ValueError as error:
        raise LocalStackError(f"The sample is not JSON: {error}.") from error
    if not isinstance(event, dict) or event.get("object") != "event":
        return event
    if function == "webhooks":
        headers = {"Stripe-Signature": signature(stack.webhook_secret, text, int(time.time()))}
        return {"resource": WEBHOOK, "path": WEBHOOK, "httpMethod": "POST", "headers": headers, "body": text}
    if function == "apply_events":
        message = to_message(message_of(text.encode(), datetime.now(UTC)))
        attributes = {"ApproximateReceiveCount": "1"}
        return {"Records": [{"messageId": str(uuid.uuid4()), "body": message, "attributes": attributes}]}
    raise LocalStackError(f"A Stripe event goes to FN=webhooks or FN=apply_events, not to {function}.")


def signature(secret: str, body: str, at: int) -> str:
    """A `Stripe-Signature` header; `at` in seconds since the epoch."""
    digest = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _readable(payload: Any) -> Any:
    """An HTTP answer's body is JSON within JSON: show it as one."""
    if not isinstance(payload, dict) or not isinstance(payload.get("body"), str):
        return payload
    try:
        return {**payload, "body": json.loads(payload["body"])}
    except ValueError:  # not JSON: shown as it is
        return payload
