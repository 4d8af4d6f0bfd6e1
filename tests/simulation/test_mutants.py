"""Each bad design of the protocol dies by its seed, which the product survives: the simulation can find such faults."""

from collections.abc import Iterator

import pytest

from tests.simulation.__main__ import BROKEN
from tests.simulation.mutants import MUTANTS, Mutant, mutated, play
from tests.simulation.servers import Servers, run_servers

SPARE_SEEDS = "1001-1040"
SEEDS = sorted({mutant.seed for mutant in MUTANTS})


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with run_servers() as running:
        yield running


def test_the_product_survives_every_seed_that_kills_a_mutant(servers: Servers) -> None:
    with mutated(None) as source:
        code, report = play(source, servers, " ".join(map(str, SEEDS)), MUTANTS[0].steps)
    assert code == 0, report


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_dies_by_its_seed(mutant: Mutant, servers: Servers) -> None:
    """Another statement in the product makes another schedule of every seed: then others are tried, for a while."""
    with mutated(mutant) as source:
        code, report = play(source, servers, f"{mutant.seed} {SPARE_SEEDS}", mutant.steps)
    assert code == BROKEN, f"it lives: look for another seed by python -m tests.simulation.mutants\n{report}"
