"""The control API over HTTP: each route one method of `Control`, its arguments the JSON body."""

import inspect
import json
import re
from collections.abc import Callable
from typing import Any

from infra.local.stripe_double.api import Answer
from infra.local.stripe_double.control import Control
from infra.local.stripe_double.errors import StripeFault

_ROUTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("GET", "clock"): Control.clock,
    ("POST", "clock"): Control.advance_clock,
    ("POST", "clock/freeze"): Control.freeze_clock,
    ("POST", "clock/thaw"): Control.thaw_clock,
    ("POST", "subscriptions/{}/end_period"): Control.end_period,
    ("POST", "checkout/{}/pay"): Control.pay_checkout,
    ("POST", "checkout/{}/decline"): Control.decline_checkout,
    ("POST", "checkout/{}/expire"): Control.expire_checkout,
    ("POST", "checkout/{}/pay_async"): Control.pay_checkout_later,
    ("POST", "checkout/{}/async_succeed"): lambda control, session: control.settle_checkout(session, paid=True),
    ("POST", "checkout/{}/async_fail"): lambda control, session: control.settle_checkout(session, paid=False),
    ("POST", "customers/{}/card"): Control.set_card,
    ("POST", "charges/{}/refund"): Control.refund,
    ("POST", "refunds/{}/fail"): Control.fail_refund,
    ("POST", "charges/{}/dispute"): Control.open_dispute,
    ("POST", "disputes/{}/close"): Control.close_dispute,
    ("POST", "delivery"): Control.script_deliveries,
    ("POST", "delivery/normal"): Control.clear_deliveries_script,
    ("POST", "delivery/hold"): Control.hold_deliveries,
    ("POST", "delivery/release"): Control.release_deliveries,
    ("POST", "delivery/wait"): Control.wait_for_deliveries,
    ("POST", "deliver"): Control.deliver_again,
    ("GET", "deliveries"): Control.deliveries,
    ("POST", "faults"): Control.add_fault,
    ("POST", "faults/clear"): Control.clear_faults,
    ("GET", "requests"): Control.requests,
    ("POST", "events"): Control.emit_event,
    ("POST", "objects/{}"): Control.change_silently,
    ("POST", "dunning"): Control.set_dunning,
    ("POST", "portal"): Control.set_portal_missing,
    ("POST", "portal/{}/act"): Control.act_in_portal,
    ("POST", "reset"): Control.reset,
}


def answer(control: Control, method: str, path: str, body: str) -> Answer:
    """Do what the route says; 400 tells what is wrong with the arguments, 404 which routes there are."""
    found = _find(method, path.removeprefix("/_control/"))
    if found is None:
        routes = ", ".join(f"{known} /_control/{pattern}" for known, pattern in _ROUTES)
        return _complaint(404, f"no control route {method} {path}; there are: {routes}")
    act, ids = found
    try:
        arguments = json.loads(body or "{}")
        inspect.signature(act).bind(control, *ids, **arguments)
    except (ValueError, TypeError) as error:
        return _complaint(400, f"the body is a JSON object of the arguments of {method} {path}: {error}")
    try:
        return _json(200, act(control, *ids, **arguments))
    except ValueError as error:
        return _complaint(400, str(error))
    except StripeFault as fault:
        return _json(fault.status, fault.body("req_control"))


def _find(method: str, path: str) -> tuple[Callable[..., Any], tuple[str, ...]] | None:
    for (known, pattern), act in _ROUTES.items():
        found = re.fullmatch(pattern.replace("{}", "([^/]+)"), path)
        if found and known == method:
            return act, found.groups()
    return None


def _complaint(status: int, message: str) -> Answer:
    return _json(status, {"error": {"message": message}})


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
