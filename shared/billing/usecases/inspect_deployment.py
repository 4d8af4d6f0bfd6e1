"""Looks at a running deployment from the inside: what only the service itself can see. It changes nothing of anybody's.

Each part is asked for itself: one that does not answer is a finding, and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from billing.cache.client import Client, Item, batch_get, delete_instead, put_if_newer
from billing.domain.deployment import (
    Finding,
    failed,
    fine,
    judge_clock,
    judge_dead_letters,
    judge_migrations,
    judge_outbox,
    judge_queue,
    judge_reconciliation,
    judge_stripe_key,
    unknown,
)
from billing.domain.signing import placeholder_of, signings_of
from billing.errors import BillingError, Transient
from billing.messages.queue import depth_of
from billing.payments.client import API_VERSION, Rejected, StripeClient
from billing.payments.endpoints import EVENTS, Endpoint, Endpoints, Fault, faults_of, list_endpoints
from billing.runtime.aws import AwsClient, AwsError
from billing.runtime.secrets import Secret
from billing.runtime.settings import BadSettings
from billing.store import migrate, reports
from billing.store.connection import transaction
from billing.store.runs import last_done_at
from billing.usecases.manage_webhook import PATH

_PROBE = "deployment-check"
"""The pk of an item that is written, read and removed: no reader asks for it."""

_PROBE_TTL = 3_600

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StripeSecrets:
    """Where Stripe's API key is kept, and where its endpoints' signing secrets are."""

    api_key: Secret
    signing: Secret


@dataclass(frozen=True, slots=True)
class Parts:
    """All that is looked at. `played`: a double plays Stripe, whose clock may be set."""

    database_url: str
    cache: Client
    sqs: AwsClient
    queue_url: str
    dead_letter_queue_url: str
    secrets: StripeSecrets
    stripe: Callable[[], StripeClient]
    livemode: bool
    played: bool
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Inspected:
    """`endpoints`: those at the URL. `events`: what each is to send."""

    findings: tuple[Finding, ...]
    endpoints: tuple[Endpoint, ...]
    events: tuple[str, ...] = EVENTS


def inspect_deployment(parts: Parts, url: str) -> Inspected:
    """`url` is the webhook endpoint's as it should be at Stripe."""
    key = _read("stripe key", parts.secrets.api_key)
    signing = _read("webhook secret", parts.secrets.signing)
    clock, listed = _ask_stripe(parts)
    findings = (
        *_store(parts),
        _cache(parts.cache, parts.now()),
        *_queues(parts),
        key if isinstance(key, Finding) else judge_stripe_key(key.get("api_key"), livemode=parts.livemode),
        signing if isinstance(signing, Finding) else _signing(signing),
        clock,
        listed if isinstance(listed, Finding) else judge_endpoint(listed, url, signing),
    )
    return Inspected(findings, () if isinstance(listed, Finding) else listed.at_url(url))


def _store(parts: Parts) -> Iterator[Finding]:
    try:
        with transaction(parts.database_url) as connection:
            migrations = judge_migrations(migrate.level(connection), migrate.wanted_level())
        yield migrations
        if migrations.state != "ok":
            yield unknown("outbox", "the schema is not as this release needs it")
            yield unknown("reconciliation", "the schema is not as this release needs it")
            return
        with transaction(parts.database_url) as connection:
            debts, since = reports.outbox_debts(connection)
            done_at = last_done_at(connection)
    except Transient as fault:
        yield failed("store", "store_unreachable", fault.detail)
        return
    now = parts.now()
    yield judge_outbox(debts, since, now)
    yield judge_reconciliation(done_at, now)


def _cache(cache: Client, now: datetime) -> Finding:
    """Written, read back, removed: with the rights and on the way that publications have."""
    seconds = now.timestamp()
    item: Item = {
        "pk": {"S": _PROBE},
        "v": {"N": str(int(seconds * 1000))},
        "ttl": {"N": str(int(seconds) + _PROBE_TTL)},
    }
    patient = cache._replace(read_timeout=cache.write_timeout)
    try:
        put_if_newer(patient, item, or_equal=True)
        found = batch_get(patient, (_PROBE,)).get(_PROBE)
        if found is None:
            return failed("cache", "cache_broken", "what was written is not read back")
        delete_instead(patient, found)
    except Transient as fault:
        return failed("cache", "cache_unreachable", f"{fault.detail} ({_cause(fault)})")
    return fine("cache", "an item was written, read and removed")


def _queues(parts: Parts) -> Iterator[Finding]:
    dead = ("dead letters", parts.dead_letter_queue_url, judge_dead_letters)
    for check, url, judge in (("queue", parts.queue_url, judge_queue), dead):
        try:
            depth = depth_of(parts.sqs, url)
        except Transient as fault:
            yield failed(check, "queue_unreachable", f"it does not answer ({_cause(fault)})")
        else:
            yield judge(depth.waiting)


def _read(check: str, secret: Secret) -> Json | Finding:
    try:
        return secret.latest()
    except AwsError as fault:
        return failed(check, "secret_unreadable", f"Secrets Manager does not give it: {fault.code}")
    except BadSettings:
        return failed(check, "secret_no_object", "what is stored is no JSON object")


def _signing(value: Json) -> Finding:
    check, signings = "webhook secret", signings_of(value)
    if signings is None:
        return failed(check, "webhook_secret_malformed", 'what is stored is not {"secrets": ["whsec_…"]}, one or two')
    if not signings:
        first = "the deployment's placeholder is there still" if placeholder_of(value) else "none is stored"
        return failed(check, "webhook_secret_unset", f"{first}: all deliveries are refused")
    return fine(check, "one is live" if len(signings) == 1 else "two are live, as while they rotate")


def _ask_stripe(parts: Parts) -> tuple[Finding, Endpoints | Finding]:
    """Clock and endpoints: one question has both."""
    check, began = "webhook endpoint", parts.now()
    try:
        listed = list_endpoints(parts.stripe())
    except BadSettings:
        return unknown("clock", "there is no key to ask Stripe with"), unknown(check, "there is no key to ask with")
    except BillingError as fault:
        refused = fault.code == "stripe_key_refused" or isinstance(fault, Rejected)
        found = failed(check, "stripe_key_refused", fault.detail) if refused else unknown(check, fault.detail)
        return unknown("clock", "Stripe did not tell the time"), found
    if parts.played:
        return unknown("clock", "Stripe is played by a double here, whose clock may be set"), listed
    return judge_clock(began, parts.now(), listed.at), listed


def judge_endpoint(listed: Endpoints, url: str, signing: Json | Finding) -> Finding:
    """Exactly one at the URL, enabled, in our version, with our events, and its secret is the one that is stored."""
    check, here = "webhook endpoint", listed.at_url(url)
    if not here:
        others = ", ".join(each.url for each in listed.all if each.url.endswith(PATH)) or "none of this service"
        return failed(check, "webhook_missing", f"Stripe has none at {url} (it has: {others})")
    signings = (None if isinstance(signing, Finding) else signings_of(signing)) or ()
    ids = {each.endpoint_id for each in signings}
    if len(here) > 1:
        rotating = len(here) == len(signings) and {each.id for each in here} >= ids - {None}
        code = "webhook_rotating" if rotating else "webhook_duplicate"
        return failed(check, code, f"{len(here)} are at {url}: {', '.join(each.id for each in here)}")
    (one,) = here
    faults = faults_of(one)
    if faults:
        return failed(check, f"webhook_{faults[0]}", f"{one.id}: {'; '.join(map(partial(_said, one), faults))}")
    if None not in ids and one.id not in ids:
        return failed(check, "webhook_secret_foreign", f"no secret of {one.id} is stored: its deliveries are refused")
    by_hand = "; its secret was stored by hand, so whether it fits is not known" if one.id not in ids else ""
    return fine(check, f"{one.id}, {len(EVENTS)} types of events, {API_VERSION}{by_hand}")


def _said(endpoint: Endpoint, fault: Fault) -> str:
    match fault:
        case "disabled":
            return "it is disabled"
        case "version":
            return f"it sends {endpoint.api_version or 'the version of the account'}, not {API_VERSION}"
        case "events":
            lacks = f"it lacks {', '.join(endpoint.missing)}" if endpoint.missing else ""
            more = f"it has {', '.join(endpoint.superfluous)} too much" if endpoint.superfluous else ""
            return " and ".join(filter(None, (lacks, more)))


def _cause(fault: Transient) -> str:
    """AWS's own code, where it said one."""
    cause = fault.__cause__
    return cause.code if isinstance(cause, AwsError) else fault.code
