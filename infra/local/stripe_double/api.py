"""One API request: authorized, checked, done once per idempotency key, answered in Stripe's form."""

import base64
import binascii
import json
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from infra.local.stripe_double import idempotency, routes
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import StripeFault
from infra.local.stripe_double.events import API_VERSION
from infra.local.stripe_double.faults import Fault
from infra.local.stripe_double.forms import decode
from infra.local.stripe_double.params import Params, read, untyped
from infra.local.stripe_double.templates import Obj
from infra.local.stripe_double.timetable import turn
from infra.local.stripe_double.views import expand, render


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    form: str  # the query string of a GET or DELETE, else the body
    headers: dict[str, str]  # names in lower case

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("idempotency-key") if self.method == "POST" else None


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def answer(account: Account, request: Request, stopping: threading.Event) -> Answer | None:
    """What Stripe would answer; None if a scripted fault has the connection drop instead."""
    with account.lock:
        request_id = account.ids.new("request")
        entry = _logged(account, request, request_id)
        fault = account.faults.take(request.method, request.path)
    reply = _answer(account, request, request_id, fault, stopping)
    entry["status"] = reply.status if reply else None
    return reply


def _logged(account: Account, request: Request, request_id: str) -> Obj:
    entry = {
        "id": request_id,
        "at": account.clock.now(),
        "method": request.method,
        "path": request.path,
        "idempotency_key": request.idempotency_key,
        "status": None,
    }
    account.requests.append(entry)
    return entry


def _answer(
    account: Account, request: Request, request_id: str, fault: Fault | None, stopping: threading.Event
) -> Answer | None:
    if fault is None:
        return _work(account, request, request_id)
    if fault.action == "slow" and fault.apply == "before":
        return _work(account, request, request_id, pause=lambda: stopping.wait(fault.seconds))
    reply = _work(account, request, request_id) if fault.apply == "after" else None
    match fault.action:
        case "slow":
            stopping.wait(fault.seconds)
            return reply
        case "timeout":
            stopping.wait(fault.seconds)
            return None
        case "reset":
            return None
        case status:
            return _outage(account, request_id, int(status))


def _outage(account: Account, request_id: str, status: int) -> Answer:
    outages = {
        429: ("invalid_request_error", "Request rate limit exceeded. Learn more about rate limits.", "rate_limit"),
        500: ("api_error", "An unknown error occurred.", None),
        503: ("api_error", "Stripe is temporarily unavailable.", None),
    }
    kind, message, code = outages[status]
    return _fault_answer(account, request_id, StripeFault(status, kind, message, code=code))


def _work(account: Account, request: Request, request_id: str, pause: Any = None) -> Answer:
    """Do it, and stamp the answer with the instant at which it was true: under one lock."""
    # A slow request lets others in while it holds its idempotency key; any other is done in one go.
    alone: AbstractContextManager[Any] = nullcontext() if pause else account.lock
    try:
        with alone:
            _authorize(request)
            replay = idempotency.begin(account, request.idempotency_key, _fingerprint(request))
            if replay:
                return _stamped(account, request_id, replay["status"], replay["body"], {"Idempotent-Replayed": "true"})
            if pause:
                pause()
            return _finish(account, request, request_id)
    except StripeFault as fault:
        return _fault_answer(account, request_id, fault)


def _finish(account: Account, request: Request, request_id: str) -> Answer:
    kept: Obj | None = None
    with turn(account):
        account.current_request = {"id": request_id, "idempotency_key": request.idempotency_key}
        try:
            kept = {"status": 200, "body": json.dumps(_perform(account, request))}
        except StripeFault as fault:
            # As with Stripe, a request refused before it began leaves its key free; a declined card does not.
            kept = {"status": fault.status, "body": json.dumps(fault.body(request_id))} if fault.status == 402 else None
            raise
        finally:
            account.current_request = {"id": None, "idempotency_key": None}
            idempotency.end(account, request.idempotency_key, kept)
        return _stamped(account, request_id, kept["status"], kept["body"])


def _perform(account: Account, request: Request) -> Obj:
    route, ids = routes.find(request.method, request.path)
    tree = decode(request.form)
    foreign = request.headers.get("stripe-version") != API_VERSION
    params: Params = read(route.params, tree, lenient=foreign) if route.params else untyped(tree)
    routes.check(route, params)
    wanted = params.pop("expand", [])
    found = route.answer(account, params, *ids)
    shown = found if found["object"] == "list" else _shown(account, found)
    expand(account, shown, wanted)
    return shown


def _shown(account: Account, found: Obj) -> Obj:
    stored = account.objects.get(found["id"])
    return render(account, found) if found is stored else found


def _authorize(request: Request) -> None:
    """Any test key will do; live keys are turned away."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind == "Basic":
        key = _user_name(key)
    if not key:
        raise StripeFault(
            401,
            "invalid_request_error",
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    if not key.startswith(("sk_test_", "rk_test_")):
        raise StripeFault(
            401, "invalid_request_error", f"Invalid API Key provided: {key[:8]}***: the double takes sk_test_…"
        )


def _user_name(encoded: str) -> str:
    """The user name of HTTP basic auth, where Stripe also takes the key."""
    try:
        return base64.b64decode(encoded).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _fingerprint(request: Request) -> str:
    return f"{request.method} {request.path}\n{request.form}"


def _fault_answer(account: Account, request_id: str, fault: StripeFault) -> Answer:
    headers = {"Stripe-Should-Retry": "true"} if fault.status == 409 else {}
    if fault.status in (400, 401, 402, 404):
        headers = {"Stripe-Should-Retry": "false"}
    return _stamped(account, request_id, fault.status, json.dumps(fault.body(request_id)), headers)


def _stamped(
    account: Account, request_id: str, status: int, body: str, headers: dict[str, str] | None = None
) -> Answer:
    with account.lock:
        date = formatdate(account.clock.now(), usegmt=True)
    stamped = {
        "Content-Type": "application/json",
        "Date": date,
        "Request-Id": request_id,
        "Stripe-Version": API_VERSION,
        **(headers or {}),
    }
    return Answer(status, body.encode(), stamped)
