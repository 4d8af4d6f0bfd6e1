import asyncio
from collections.abc import Iterator

import pytest

from tests.unit.billing_client.desk import Desk


@pytest.fixture(params=["sync", "async"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    with asyncio.Runner() as runner:
        desk = Desk(request.param, runner)
        yield desk
        desk.close()
