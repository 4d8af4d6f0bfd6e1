"""A small burst through the real parts: the code of `make burst`, which plays ten thousand events."""

import pytest

from tests.bench.burst import play
from tests.bench.burst_events import make_burst
from tests.bench.burst_scene import scene

pytestmark = pytest.mark.alone


def test_a_burst_with_duplicates_drains_without_loss(database_url: str, aws_endpoint: str) -> None:
    burst = make_burst(events=200, customers=10)
    with scene(database_url, aws_endpoint, customers=10) as where:
        result = play(where, burst, worker_count=2, say=print)

    assert len(burst.bodies) == 220
    assert result.faults == []
