"""Our readers against the installed SDK: the types exist, and the samples are what Stripe sends."""

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from stripe import Event
from stripe._api_version import _ApiVersion
from stripe.params import WebhookEndpointCreateParams

from billing.payments.client import API_VERSION
from billing.payments.events import READERS
from infra.local.stripe_double.schemas import object_schema

SAMPLES = Path(__file__).parents[2] / "events" / "stripe"


def sample(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return document


def test_every_type_we_read_is_one_that_stripe_has() -> None:
    assert set(READERS) <= set(get_args(Event.__annotations__["type"]))
    assert set(READERS) <= set(get_args(get_args(WebhookEndpointCreateParams.__annotations__["enabled_events"])[0]))


def test_the_pinned_version_is_the_installed_sdks() -> None:
    assert API_VERSION == _ApiVersion.CURRENT


@pytest.mark.parametrize("kind", sorted(READERS))
def test_a_sample_is_strictly_of_stripes_shape(kind: str) -> None:
    subject = sample(kind)["data"]["object"]
    assert sample(kind)["api_version"] == API_VERSION
    schema = object_schema(subject["object"])
    assert [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(subject)] == []
