"""The words rules are told in, and what explanations say at the edges."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.domain.explain import Explanation, explain
from billing.domain.holdings import Holding
from billing.domain.rules import spoken, until, when
from billing.domain.windows import FOREVER
from tests.unit.domain.making import DAY, PERIOD_END, START, TICK, a_catalog, a_grant, a_purchase, an_item


def explained(holding: Holding, feature: str = "export") -> Explanation:
    return explain(feature, [holding], a_catalog(), START, {})


def test_an_instant_is_told_in_utc_to_the_microsecond_and_an_end_that_never_comes_as_for_ever() -> None:
    assert when(START) == "2026-01-01 00:00:00 UTC"
    assert when(START + TICK) == "2026-01-01 00:00:00.000001 UTC"
    assert when(FOREVER - TICK) == "9999-12-30 23:59:59.999999 UTC"
    assert when(FOREVER) == "for ever"
    assert until(FOREVER - TICK) == "until 9999-12-30 23:59:59.999999 UTC"
    assert until(FOREVER) == "for ever"


@pytest.mark.usefixtures("machine_in_tokyo")
def test_the_machines_own_time_zone_does_not_matter() -> None:
    assert when(datetime(2026, 11, 23, 12, tzinfo=UTC)) == "2026-11-23 12:00:00 UTC"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (5, "5"),
        ("unlimited", "unlimited"),
        ("dark", "dark"),
        (None, "null"),
        (False, "false"),
        ({"dark": True, "sizes": [1, 2]}, '{"dark": true, "sizes": [1, 2]}'),
    ],
)
def test_a_value_is_told_in_words_or_as_json(value: object, words: str) -> None:
    assert spoken(value) == words


def test_of_two_rules_with_one_end_the_first_is_named_and_the_other_told_beside() -> None:
    [because] = explained(an_item(cancel_at=PERIOD_END, cancel_at_period_end=True)).sources

    assert because.rule.code == "cancel_at"
    assert "cancel_at_period_end" in [rule.code for rule in because.others]


def test_a_feature_the_project_does_not_have_is_explained_by_that_alone() -> None:
    found = explained(a_grant(), "nonsense")

    assert found.decision.reason == found.rule.code == "feature_not_found"
    assert (found.sources, found.denials, found.decision.sources) == ((), (), ())


def test_a_purchase_of_a_price_without_a_label_goes_by_its_id() -> None:
    assert explained(a_purchase()).sources[0].label == "price_life of 2026-01-01"


def test_a_grant_revoked_before_it_began_is_not_one_to_come() -> None:
    revoked = explained(a_grant(valid_from=START + DAY, revoked_at=START))

    assert revoked.rule.code == "source_never_live"
    assert revoked.rule.text == (
        "Not allowed: nothing ever gave export. grant grant_1: the grant was revoked on 2026-01-01 00:00:00 UTC."
    )
