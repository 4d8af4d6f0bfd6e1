from collections.abc import Iterator

import pytest

from billing.payments.client import StripeClient, connect
from infra.local.stripe_double.double import StripeDouble


@pytest.fixture
def double() -> Iterator[StripeDouble]:
    with StripeDouble(seed=7) as running:
        yield running


@pytest.fixture
def stripe(double: StripeDouble) -> StripeClient:
    return connect("sk_test_unit", double.url)
