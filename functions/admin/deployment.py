"""The deployment looked at from the inside, and the webhook endpoint by which Stripe reaches it."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from billing.domain.deployment import State
from billing.errors import FieldFault, Refused
from billing.http.exchange import Response
from billing.http.operations import Operation, Query, of
from billing.http.schemas import Body, Instant, Reason
from billing.payments.client import API_VERSION, Rejected
from billing.payments.endpoints import Endpoint
from billing.store import audit
from billing.store.connection import Connection
from billing.usecases.inspect_deployment import Parts, inspect_deployment
from billing.usecases.manage_webhook import Changed, Hook, take_step
from billing.usecases.once import Finished, once
from functions.admin.desk import Call, Desk, Routes, answered

DEPLOYMENT = "/api/v1/admin/deployment"

WebhookUrl = Annotated[
    str, Field(max_length=1000, pattern=r"^https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?/api/v1/webhooks/stripe$")
]
"""Where Stripe is to send events: the address by which this API is called, and its route of webhooks."""


class DeploymentQuery(Query):
    webhook_url: WebhookUrl


class FindingAnswer(BaseModel):
    """`unknown`: it could not be looked at, and `detail` says why. `code` names the fault."""

    check: str
    state: State
    code: str
    detail: str


class EndpointAnswer(BaseModel):
    """A `webhook_endpoint` of Stripe's. `missing` and `superfluous` are types of events; `*` stands for all."""

    id: str
    url: str
    enabled: bool
    api_version: str | None
    events: list[str]
    missing: list[str]
    superfluous: list[str]


class DeploymentAnswer(BaseModel):
    """`endpoints`: those at `webhook_url`; each is to have `events`, in `api_version`."""

    as_of: Instant
    stage: str
    livemode: bool
    checks: list[FindingAnswer]
    webhook_url: str
    endpoints: list[EndpointAnswer]
    events: list[str]
    api_version: str


class WebhookBody(Body):
    """`create`: there is one, as it must be, and its secret is stored. `rotate`: a second one, with another secret, is
    beside it. `finish`: the newest is left alone. Each may be repeated.
    """

    step: Literal["create", "rotate", "finish"]
    url: WebhookUrl
    reason: Reason | None = None


class WebhookAnswer(BaseModel):
    """Ids of Stripe's webhook endpoints. `live_secrets`: how many signing secrets are good now."""

    created: list[str]
    mended: list[str]
    deleted: list[str]
    live_secrets: int


READ = Operation(
    "GET",
    DEPLOYMENT,
    "inspectDeployment",
    "Store, cache, queues, secrets, clock and the webhook endpoint at Stripe: what is not as it should be",
    DeploymentAnswer,
    query=DeploymentQuery,
)
WEBHOOK = Operation(
    "POST",
    DEPLOYMENT + "/webhook-endpoint",
    "setWebhookEndpoint",
    "Make the webhook endpoint at Stripe, or another in its place; its signing secret is stored and shown to nobody",
    WebhookAnswer,
    body=WebhookBody,
    problems=(
        "url_not_allowed",
        "webhook_not_found",
        "webhook_rotating",
        "webhook_refused",
        "stripe_key_refused",
        "stripe_unavailable",
    ),
    writes=True,
)


def _read(desk: Desk, call: Call) -> Response:
    url = of(DeploymentQuery, call.asked.query).webhook_url
    parts = Parts(
        desk.database_url,
        desk.publisher.cache,
        desk.sqs,
        desk.queue_url,
        desk.dead_letter_queue_url,
        desk.secrets,
        desk.stripe,
        desk.livemode,
        desk.played,
        desk.now,
    )
    found = inspect_deployment(parts, url)
    answer = DeploymentAnswer(
        as_of=desk.now(),
        stage=desk.stage,
        livemode=desk.livemode,
        checks=[FindingAnswer.model_validate(each, from_attributes=True) for each in found.findings],
        webhook_url=url,
        endpoints=[_endpoint(each) for each in found.endpoints],
        events=list(found.events),
        api_version=API_VERSION,
    )
    return answered(call, answer)


def _endpoint(endpoint: Endpoint) -> EndpointAnswer:
    return EndpointAnswer.model_validate(endpoint, from_attributes=True)


def _set_webhook(desk: Desk, call: Call) -> Response:
    body = of(WebhookBody, call.asked.body)
    _check_is_ours(call, body.url, livemode=desk.livemode)
    request = call.once()

    def work() -> Finished:
        try:
            changed = take_step(Hook(desk.stripe(), desk.secrets.signing, body.url, request.seed), body.step)
        except Rejected as fault:
            raise Refused("webhook_refused", fault.detail) from fault
        return Finished(WEBHOOK.status, _told(changed).model_dump_json(), lambda c: _note(c, desk, call, changed))

    outcome = once(desk.database_url, request, work)
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


def _check_is_ours(call: Call, url: str, *, livemode: bool) -> None:
    """Stripe's events, which tell of persons, go nowhere but to where the operator has just reached this service."""
    parts = urlsplit(url)
    here = call.request.header("host") or ""
    if parts.netloc != here:
        fault = FieldFault("/url", f"its host must be the one this request came to, {here}")
    elif livemode and parts.scheme != "https":
        fault = FieldFault("/url", "live events travel by https")
    else:
        return
    raise Refused("url_not_allowed", "Stripe cannot be sent to that address from here.", fields=(fault,))


def _told(changed: Changed) -> WebhookAnswer:
    return WebhookAnswer(
        created=list(changed.created),
        mended=list(changed.mended),
        deleted=list(changed.deleted),
        live_secrets=changed.secrets,
    )


def _note(connection: Connection, desk: Desk, call: Call, changed: Changed) -> None:
    """In no project's chain: it is everybody's."""
    body = of(WebhookBody, call.asked.body)
    after = {"url": body.url, **_told(changed).model_dump()}
    act = call.operator.act(
        f"webhook.{body.step}", "webhook endpoint", project_id=None, reason=body.reason, after=after
    )
    audit.append(connection, act, desk.now())


ROUTES: Routes = ((READ, _read), (WEBHOOK, _set_webhook))
