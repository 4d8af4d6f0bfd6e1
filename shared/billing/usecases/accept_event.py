"""Takes a delivery of Stripe's: proves it is Stripe's, makes it durable, and looks no further (SPEC §4)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from billing.domain.signing import placeholder_of, signings_of
from billing.errors import Transient
from billing.messages.queue import message_of, send
from billing.payments.signature import BadSignature, verify
from billing.runtime.aws import AwsClient, AwsError
from billing.runtime.secrets import Secret
from billing.runtime.settings import BadSettings


class Ingress(NamedTuple):
    """The endpoint's signing secrets (`{"secrets": ["whsec_…"]}`, two during a rotation) and the queue behind it."""

    secret: Secret
    queue: AwsClient
    queue_url: str


def accept_event(ingress: Ingress, body: bytes, header: str, now: datetime) -> None:
    """Queue a delivery whose signature fits. Returns once it is durable.

    Raises BadSignature, with nothing parsed, stored or logged of it; Transient where it could not be made durable.
    """
    try:
        verify(body, header, signing_secrets(ingress.secret.read()), now)
    except BadSignature:
        _verify_with_newer(ingress.secret, body, header, now)
    except AwsError as error:
        raise _no_secret() from error
    send(ingress.queue, ingress.queue_url, message_of(body, now))


def signing_secrets(value: dict[str, object]) -> list[str]:
    """The secrets in the stored JSON; before the first is stored, the deployment's placeholder, which fits nothing.

    Raises BadSettings for none, an empty one, or more than two.
    """
    signings, placeholder = signings_of(value), placeholder_of(value)
    if signings:
        return [each.secret for each in signings]
    if signings == () and placeholder is not None:
        return [placeholder]
    raise BadSettings('the webhook secret must be {"secrets": ["whsec_…"]}, with one or two signing secrets')


def _verify_with_newer(secret: Secret, body: bytes, header: str, now: datetime) -> None:
    """The kept secrets may be from before a rotation; read them anew once, if the last reading is not just behind."""
    try:
        newer = secret.reread()
    except AwsError as error:
        raise _no_secret() from error
    if newer is None:
        raise BadSignature
    verify(body, header, signing_secrets(newer), now)


def _no_secret() -> Transient:
    return Transient("unavailable", "The signature could not be verified now. Send the event again.")
