"""Weeks of random lives in which no webhook came, or few: a run makes the store equal to the oracle again.

`python -m tests.simulation.silence` plays other seeds, and one again that failed here.
"""

from collections import Counter

import pytest

from infra.local.ministack import Aws
from tests.simulation.servers import Servers
from tests.simulation.silence import play
from tests.simulation.silent_life import KINDS
from tests.support.postgres import Databases

SEEDS = {
    "silent": 2,
    "listing": 2,
    "events": 2,
    "deaf": 3,
    "deaf-listing": 1131,  # a payment after a lost dispute, neither of them heard
    "deaf-events": 5,
    "meanwhile": 6,
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_run_makes_up_for_the_silence(kind: str, databases: Databases, aws: Aws) -> None:
    totals: Counter[str] = Counter()

    broken = play(SEEDS[kind], kind, Servers(databases.server.port, aws.endpoint_url), totals)

    assert broken is None, broken
    assert totals["drifts"] > 0
