"""The webhook endpoint at Stripe and its signing secret: made, kept as they must be, and replaced without a gap.

The secret goes from Stripe into Secrets Manager and is shown to nobody. Each step may be repeated after any crash: what
is there already is left, and what is half done is finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from billing.domain.signing import MAX_SECRETS, Signing, signings_of, stored
from billing.errors import Refused, Transient
from billing.payments.client import StripeClient, derived_key
from billing.payments.endpoints import (
    Endpoint,
    create_endpoint,
    delete_endpoint,
    faults_of,
    list_endpoints,
    mend_endpoint,
)
from billing.runtime.aws import AwsError
from billing.runtime.secrets import Secret
from billing.runtime.settings import BadSettings

PATH = "/api/v1/webhooks/stripe"

Step = Literal["create", "rotate", "finish"]


@dataclass(frozen=True, slots=True)
class Changed:
    """Ids of endpoints. `secrets`: how many are live now."""

    created: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    secrets: int = 0


@dataclass(frozen=True, slots=True)
class Hook:
    """The endpoint's `url` and its secrets' place. `seed`: what Stripe's idempotency keys derive from."""

    stripe: StripeClient
    secret: Secret
    url: str
    seed: str

    @property
    def key(self) -> str:
        return derived_key("webhook", self.seed, self.url)


@dataclass(frozen=True, slots=True)
class _Now:
    """As it stands: the endpoints at the URL, oldest first, and the secrets of endpoints that are not gone."""

    here: tuple[Endpoint, ...]
    signings: tuple[Signing, ...]

    @property
    def known(self) -> tuple[Endpoint, ...]:
        """Those whose deliveries can be verified. A secret stored without its endpoint's id may be of any."""
        ids = {each.endpoint_id for each in self.signings}
        return self.here if None in ids else tuple(each for each in self.here if each.id in ids)


def take_step(hook: Hook, step: Step) -> Changed:
    """Raises Refused (`webhook_not_found`, `webhook_rotating`), Transient, Rejected."""
    try:
        match step:
            case "create":
                return _create(hook)
            case "rotate":
                return _rotate(hook)
            case "finish":
                return _finish(hook)
    except AwsError as fault:
        raise Transient(
            "unavailable", f"The webhook's secret cannot be read or stored now ({fault.code}): try again."
        ) from fault
    assert_never(step)


def _create(hook: Hook) -> Changed:
    """An endpoint whose secret was lost can never be verified again: another one replaces it."""
    now = _look(hook)
    created: tuple[str, ...] = ()
    signings = now.signings
    if not now.known:
        made, signings = _add(hook, signings)
        created = (made,)
    known = {each.id for each in now.known}
    mended = [each.id for each in now.known if {"disabled", "events"} & set(faults_of(each))]
    lost = [each.id for each in now.here if each.id not in known]
    for endpoint_id in mended:
        mend_endpoint(hook.stripe, endpoint_id)
    for endpoint_id in lost:
        delete_endpoint(hook.stripe, endpoint_id)
    return Changed(created, tuple(mended), tuple(lost), len(signings))


def _rotate(hook: Hook) -> Changed:
    """A second endpoint beside the first: until the first is deleted each event comes twice, and is applied once."""
    now = _look(hook)
    if not now.known:
        raise Refused("webhook_not_found", f"Stripe has no endpoint of ours at {hook.url}: create it.")
    ours = {each.endpoint_id for each in now.signings}
    before = next((each.id for each in now.known if each.key == hook.key and each.id in ours), None)
    if before is not None:  # the same request came again, after an answer that was lost
        return Changed(created=(before,), secrets=len(now.signings))
    made, signings = _add(hook, now.signings)
    return Changed(created=(made,), secrets=len(signings))


def _finish(hook: Hook) -> Changed:
    """Leave the newest alone. First the old endpoints go, then their secrets: no delivery meets a secret too few."""
    now = _look(hook)
    newest = next((each for each in reversed(now.signings) if each.endpoint_id in {e.id for e in now.here}), None)
    if newest is None:
        raise Refused("webhook_not_found", f"None of the secrets is of an endpoint at {hook.url}: create one.")
    old = [each.id for each in now.here if each.id != newest.endpoint_id]
    for endpoint_id in old:
        delete_endpoint(hook.stripe, endpoint_id)
    if now.signings != (newest,):
        hook.secret.replace(stored([newest]))
    return Changed(deleted=tuple(old), secrets=1)


def _look(hook: Hook) -> _Now:
    """A secret that is damaged is as good as lost."""
    found = list_endpoints(hook.stripe)
    ids = {each.id for each in found.all}
    try:
        signings = signings_of(hook.secret.latest()) or ()
    except BadSettings:
        signings = ()
    live = tuple(each for each in signings if each.endpoint_id is None or each.endpoint_id in ids)
    return _Now(found.at_url(hook.url), live)


def _add(hook: Hook, signings: tuple[Signing, ...]) -> tuple[str, tuple[Signing, ...]]:
    """One more endpoint. Stored before anything else is done: Stripe tells the secret this once."""
    if len(signings) >= MAX_SECRETS:
        raise Refused("webhook_rotating", "Two secrets are live already: finish that rotation first.")
    made = create_endpoint(hook.stripe, hook.url, hook.key)
    signings = (*signings, Signing(made.secret, made.endpoint.id))
    hook.secret.replace(stored(signings))
    return made.endpoint.id, signings
