"""Errors as RFC 9457 problem documents. This table is the one place that knows a code's HTTP status."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from billing.errors import BillingError, FieldFault, Refused, Transient

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """What a code means: its HTTP status, a title, how to mend it, and whether the same request may succeed later."""

    status: int
    title: str
    mend: str
    retryable: bool = False


KINDS: Mapping[str, Kind] = {
    # the request itself
    "malformed_request": Kind(400, "The request cannot be read", "Send valid JSON in UTF-8, as the route describes."),
    "invalid_request": Kind(422, "The request is not valid", "Mend the fields named in `errors`."),
    "invalid_signature": Kind(
        400, "The signature does not fit", "Sign the raw body with the endpoint's current secret, within 300 seconds."
    ),
    "not_found": Kind(404, "There is no such route or object", "Check the path and the id."),
    "method_not_allowed": Kind(405, "This route does not take this method", "See the OpenAPI document."),
    "request_too_large": Kind(413, "The request is too large", "Send less in one request."),
    "rate_limited": Kind(429, "Too many requests", "Wait for the seconds in Retry-After, then go on slower.", True),
    # who asks
    "invalid_api_key": Kind(
        401,
        "The API key opens nothing",
        "Send `Authorization: Bearer <key>` with a key that is not revoked or expired.",
    ),
    "wrong_role": Kind(403, "The key's role does not reach this route", "Use a project key, or an admin key."),
    "wrong_project": Kind(403, "The key belongs to another project", "Use a key of the project you name."),
    "project_suspended": Kind(403, "The project is suspended", "Ask an operator to activate it."),
    # idempotency
    "idempotency_mismatch": Kind(
        422, "The Idempotency-Key was used with another body", "Use a new key for a new request."
    ),
    "in_flight": Kind(409, "The same request is being worked on", "Wait a second and send it again.", True),
    # selling
    "price_not_found": Kind(422, "There is no such price", "Name an active price of this project."),
    "mixed_prices": Kind(422, "These prices cannot share a checkout", "Split them into several checkouts."),
    "url_not_allowed": Kind(422, "The URL leads elsewhere", "Use an origin the project allows."),
    "already_subscribed": Kind(
        409, "The customer already has this subscription", "Send them to the portal, or set `allow_multiple`."
    ),
    "promotion_code_not_found": Kind(
        422, "There is no such promotion code", "Use the id of a promotion code that is active in Stripe."
    ),
    "checkout_refused": Kind(422, "Stripe refuses such a checkout", "Change what `detail` names."),
    "session_not_found": Kind(404, "There is no such checkout session", "Use an id that POST /checkout gave."),
    "customer_not_found": Kind(404, "There is no such customer", "Let the user go through a checkout first."),
    "customer_deleted": Kind(
        409, "The customer was deleted in Stripe", "Open a new checkout: it makes a new customer."
    ),
    "portal_not_configured": Kind(
        503, "The customer portal is not set up", "Save a portal configuration in Stripe's dashboard."
    ),
    "project_not_found": Kind(404, "There is no such project", "Check the project's id."),
    # operating
    "project_exists": Kind(409, "The project exists already", "Change it by PATCH, or choose another id."),
    "key_not_found": Kind(404, "There is no such key", "List the keys for its id."),
    "key_revoked": Kind(409, "The key opens nothing any more", "Create a new key."),
    "last_admin_key": Kind(409, "This is the last admin key", "Create another admin key first."),
    "admin_key_exists": Kind(409, "There is an admin key already", "Create more keys with it."),
    "event_not_found": Kind(404, "There is no such event", "List the events for its id."),
    "store_not_empty": Kind(
        409, "The store is not empty", "Start a reconciliation instead; or set `into_nonempty` to add what is missing."
    ),
    "rebuild_not_found": Kind(404, "There was no rebuild", "Start one."),
    "rebuild_not_waiting": Kind(
        409, "The rebuild waits for nobody", "Look at its status: only a waiting one is decided."
    ),
    "run_open": Kind(
        409, "Another run is at work", "Wait for it; or approve or cancel it, if it waits for you. `run_id` names it."
    ),
    "run_not_found": Kind(404, "There is no such run", "List the runs for its id."),
    "run_not_waiting": Kind(409, "The run waits for nobody", "Look at its status: only a waiting run is approved."),
    "run_over": Kind(409, "The run is over", "Start another one."),
    "run_taken_over": Kind(503, "Another worker goes on with the run", "Leave it to that one.", True),
    # the catalog
    "invalid_catalog": Kind(422, "The catalog cannot be applied", "Mend what `errors` names; nothing changed."),
    "catalog_refused": Kind(
        422, "Stripe refuses a part of the catalog", "Mend the place named in `errors`, and apply it again."
    ),
    "plan_outdated": Kind(409, "The plan is of an earlier state", "Plan again, look at it, and apply that plan."),
    "catalog_busy": Kind(409, "Another catalog is being applied", "Wait for it, then plan again.", True),
    "catalog_unfinished": Kind(
        503, "The catalog is not applied to its end", "Send the same catalog again: it goes on.", True
    ),
    "grant_not_found": Kind(404, "There is no such grant", "List the grants for its id."),
    "feature_not_found": Kind(
        422,
        "The project has no such feature",
        "Name a feature of the project's catalog, or apply a catalog that has it.",
    ),
    "webhook_not_found": Kind(409, "Stripe has no such webhook endpoint", "Create it: step `create`."),
    "webhook_rotating": Kind(409, "A rotation is not finished", "Finish it: step `finish`."),
    "webhook_refused": Kind(422, "Stripe refuses such a webhook endpoint", "Change what `detail` names."),
    "signing_key_unset": Kind(
        503, "No token can be signed yet", "An operator makes the first key: billing signing-key rotate."
    ),
    "signing_key_rotating": Kind(409, "A new key is on its way already", "Wait until it signs: `detail` says when."),
    # this moment's faults
    "not_effective_yet": Kind(
        503,
        "The change is stored but not in force everywhere yet",
        "Send it again with the same Idempotency-Key until it answers 2xx.",
        True,
    ),
    "unavailable": Kind(503, "The service cannot answer now", "Send the same request again shortly.", True),
    "unreadable_newer": Kind(503, "A newer answer is being written", "Send the same request again shortly.", True),
    "fetch_budget_spent": Kind(503, "Stripe is asked too often now", "Send the same request again shortly.", True),
    "database_unavailable": Kind(503, "The store cannot be reached now", "Send the same request again shortly.", True),
    "contended": Kind(503, "Others were changing the same thing", "Send the same request again shortly.", True),
    "raced": Kind(503, "Others were changing the same thing", "Send the same request again shortly.", True),
    "stripe_key_refused": Kind(503, "Stripe refuses the service's key", "Put a valid Stripe key into the secret."),
    "stripe_unavailable": Kind(503, "Stripe cannot be reached now", "Send the same request again shortly.", True),
    "not_ready": Kind(503, "A part of the service does not work", "See `checks` for the part that fails.", True),
    "internal": Kind(500, "The service has a defect", "Report the `request_id`; sending it again rarely helps."),
}


def kind_of(error: BillingError) -> Kind:
    """A code without a row is a defect of ours, except for Transient ones: those are always 503 and retryable."""
    known = KINDS.get(error.code)
    if known is not None:
        return known
    return KINDS["unavailable"] if isinstance(error, Transient) else KINDS["internal"]


def problem(error: BillingError, request_id: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an error's answer."""
    kind = kind_of(error)
    fields = error.fields if isinstance(error, Refused) else ()
    extra: dict[str, Any] = dict(error.extra) if isinstance(error, Refused) else {}
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}
    if kind.status == 401:
        headers["www-authenticate"] = "Bearer"
    retry_after = error.retry_after if isinstance(error, Transient) else None
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return kind.status, headers, document(error.code, kind, error.detail, request_id, fields=fields, extra=extra)


def document(
    code: str,
    kind: Kind,
    detail: str,
    request_id: str,
    *,
    fields: tuple[FieldFault, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> str:
    """The problem document as JSON. `extra` members never replace the standard ones."""
    members: dict[str, Any] = {
        **(extra or {}),
        "type": f"urn:billing:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "retryable": kind.retryable,
    }
    if fields:
        members["errors"] = [{"pointer": field.pointer, "detail": field.detail} for field in fields]
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def reference() -> Iterator[str]:
    """The lines of docs/errors.md."""
    yield "# Errors"
    yield ""
    yield f"Every error is a problem document (RFC 9457, `{MEDIA_TYPE}`) with a stable `code`. Generated from the code."
    yield ""
    yield "| code | status | retryable | meaning | what to do |"
    yield "|---|---|---|---|---|"
    for code, kind in sorted(KINDS.items()):
        retry = "yes" if kind.retryable else "no"
        yield f"| `{code}` | {kind.status} | {retry} | {kind.title} | {kind.mend} |"
