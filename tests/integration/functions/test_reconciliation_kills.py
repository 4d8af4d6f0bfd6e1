"""Processes of the reconciliation, really killed (SIGKILL) wherever it hurts: the run comes to the same end.

These are lives of a run in which every worker dies. `python -m tests.kills` kills one worker at each request there is.
"""

import random
from collections.abc import Iterator, Mapping
from itertools import repeat

import pytest

from infra.local.ministack import Aws
from tests.kills.life import At, EachCutOnce, End, Landmark
from tests.kills.theatre import Outcome, Theatre, open_theatre
from tests.kills.world import look
from tests.support.postgres import Databases

SEED = 5
FURTHEST: Mapping[Landmark, int] = {"checkpoint": 40, "repair": 12}
"""Requests behind one, about, to where the next step begins."""


@pytest.fixture(scope="module")
def theatre(databases: Databases, aws: Aws) -> Iterator[Theatre]:
    with open_theatre(databases, aws.endpoint_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def undisturbed(theatre: Theatre) -> Outcome:
    with theatre.life() as life:
        life.work_off()
        return theatre.end(life)


def test_the_undisturbed_run_repairs_all_that_is_wrong(undisturbed: Outcome) -> None:
    drifts = undisturbed.world.store["drifts"]
    assert {drift["status"] for drift in drifts} == {"repaired"}
    assert {drift["pass"] for drift in drifts} == {"events", "listing", "holdings", "cache"}
    assert {drift["takes"] for drift in drifts} == {True, False}
    assert undisturbed.faults == []
    assert undisturbed.world.store["outbox"] == []


def test_while_a_dead_workers_lease_lasts_nobody_goes_on(theatre: Theatre) -> None:
    with theatre.life() as life:
        assert not life.play("reconciliation", At(100, End("before")))
        killed = look(theatre.scene, life.url)

        assert life.play("reconciliation")

        assert look(theatre.scene, life.url) == killed
        assert killed.store["runs"][0]["status"] == "open"


@pytest.mark.parametrize("landmark", ["checkpoint", "repair"])
def test_killed_as_soon_as_it_saved_anything_a_run_comes_to_the_same_end(
    theatre: Theatre, undisturbed: Outcome, landmark: Landmark
) -> None:
    """At every checkpoint; and behind every repair, with nothing published yet and nothing noted."""
    with theatre.life() as life:
        life.work_off(life.hunted(landmark, repeat(0), End("after")))
        assert life.kills >= 10
        assert theatre.end(life).beside(undisturbed) == []


@pytest.mark.parametrize(("landmark", "furthest"), FURTHEST.items())
def test_killed_between_its_statements_again_and_again_a_run_comes_to_the_same_end(
    theatre: Theatre, undisturbed: Outcome, landmark: Landmark, furthest: int
) -> None:
    """In the midst of every repair, and of its publication: each time somewhere else."""
    rng = random.Random(f"{SEED} {landmark}")  # noqa: S311  the same each time
    furthers = (rng.randrange(1, furthest) for _ in repeat(None))
    with theatre.life() as life:
        life.work_off(life.hunted(landmark, furthers, End("before")))
        assert life.kills >= 10
        assert theatre.end(life).beside(undisturbed) == []


def test_where_each_call_to_aws_is_lost_once_a_run_comes_to_the_same_end(
    theatre: Theatre, undisturbed: Outcome
) -> None:
    with theatre.life() as life:
        life.work_off([EachCutOnce()])
        assert theatre.end(life).beside(undisturbed) == []
