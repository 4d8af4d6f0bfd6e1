"""Webhook endpoints and the events list."""

from urllib.parse import urlsplit

from infra.local.stripe_double.account import Account
from infra.local.stripe_double.errors import invalid, missing
from infra.local.stripe_double.events import API_VERSION
from infra.local.stripe_double.lists import listing, page_of, within
from infra.local.stripe_double.objects.metadata import merged
from infra.local.stripe_double.params import Params
from infra.local.stripe_double.periods import DAY
from infra.local.stripe_double.templates import Obj

list_endpoints = listing("webhook_endpoint", "/v1/webhook_endpoints")

_MOST_ENDPOINTS = 16
_EVENTS_KEPT = 30 * DAY


def create_endpoint(account: Account, params: Params) -> Obj:
    """The endpoint with its secret, which is shown this once."""
    if len(account.table("webhook_endpoint")) >= _MOST_ENDPOINTS:
        raise invalid("You have reached the maximum of 16 test webhook endpoints.")
    if params.get("api_version", API_VERSION) != API_VERSION:
        raise invalid(f"The double speaks {API_VERSION} only.", param="api_version")
    secret = account.ids.secret("whsec_")
    endpoint = account.create(
        "webhook_endpoint",
        api_version=params.get("api_version"),
        description=params.get("description") or None,
        enabled_events=list(params["enabled_events"]),
        metadata=merged({}, params),
        status="enabled",
        url=_checked_url(params["url"]),
    )
    account.keep_facts(endpoint["id"], secret=secret)
    return {**endpoint, "secret": secret}


def _checked_url(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise invalid(
            "Invalid URL: An explicit scheme (such as https) must be provided.", param="url", code="url_invalid"
        )
    return url


def retrieve_endpoint(account: Account, _params: Params, endpoint_id: str) -> Obj:
    return account.get("webhook_endpoint", endpoint_id)


def update_endpoint(account: Account, params: Params, endpoint_id: str) -> Obj:
    endpoint = account.get("webhook_endpoint", endpoint_id)
    if "url" in params:
        endpoint["url"] = _checked_url(params["url"])
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    endpoint["enabled_events"] = params.get("enabled_events", endpoint["enabled_events"])
    endpoint["description"] = params.get("description", endpoint["description"]) or None
    endpoint["metadata"] = merged(endpoint["metadata"], params)
    return account.put(endpoint)


def delete_endpoint(account: Account, _params: Params, endpoint_id: str) -> Obj:
    account.remove(account.get("webhook_endpoint", endpoint_id))
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def retrieve_event(account: Account, _params: Params, event_id: str) -> Obj:
    event = account.get("event", event_id)
    if event["created"] < account.clock.now() - _EVENTS_KEPT:
        raise missing("event", event_id)
    return event


def list_events(account: Account, params: Params) -> Obj:
    """The last 30 days' events, newest first."""
    since = account.clock.now() - _EVENTS_KEPT

    def fits(event: Obj) -> bool:
        return bool(event["created"] >= since) and _fits(account, event, params)

    return page_of(account, "event", "/v1/events", params, fits)


def _fits(account: Account, event: Obj, params: Params) -> bool:
    if "created" in params and not within(event["created"], params["created"]):
        return False
    if "type" in params and not _is_type(event["type"], params["type"]):
        return False
    if "types" in params and event["type"] not in params["types"]:
        return False
    if "delivery_success" not in params:
        return True
    states = [d["state"] for d in account.deliveries.values() if d["event"] == event["id"]]
    return bool(all(state == "delivered" for state in states) == params["delivery_success"])


def _is_type(kind: str, wanted: str) -> bool:
    """`type` may be a group: `charge.*`."""
    return kind.startswith(wanted[:-1]) if wanted.endswith(".*") else kind == wanted
