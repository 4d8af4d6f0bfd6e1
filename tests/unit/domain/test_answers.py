"""The JSON of `/entitlements` and `/entitlements/check`, evaluated at one instant (SPEC §3, §5 I2)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import given

from billing.domain.answers import check_answer, entitlements_answer
from billing.domain.catalog import Benefit
from billing.domain.holdings import Holding
from billing.domain.snapshot import Snapshot, build, from_document, segment, to_document
from billing.domain.windows import FOREVER, parse_rfc3339
from tests.unit.domain.making import (
    DAY,
    PERIOD_END,
    START,
    TICK,
    a_catalog,
    a_denial,
    a_grant,
    a_purchase,
    an_item,
)
from tests.unit.domain.worlds import World, every_instant, worlds

PRO = {"prod_pro": (Benefit("seats", 5), Benefit("export", value=True)), "prod_life": (Benefit("export", value=True),)}


def a_snapshot(*held: Holding) -> Snapshot:
    return build("u_1", 6, START, held, a_catalog(PRO))


def listed(snapshot: Snapshot, at: datetime) -> list[dict[str, Any]]:
    entitlements: list[dict[str, Any]] = entitlements_answer(snapshot, at)["entitlements"]
    return entitlements


def test_the_list_names_every_feature_held_with_value_end_and_sources() -> None:
    snapshot = a_snapshot(an_item(cancel_at_period_end=True), a_purchase())
    item = {
        "kind": "subscription_item",
        "id": "si_1",
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_to": "2026-02-01T00:00:00Z",
        "subscription": "sub_1",
        "status": "active",
        "product": "prod_pro",
        "price": "price_pro",
        "event": "evt_1",
    }
    purchase = {
        "kind": "purchase",
        "id": "cs_1/li_1",
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_to": None,
        "product": "prod_life",
        "price": "price_life",
        "event": "evt_2",
    }

    assert entitlements_answer(snapshot, START + DAY) == {
        "project_id": "notes",
        "user_id": "u_1",
        "version": 7,
        "as_of": "2026-01-01T00:00:00Z",
        "stale": False,
        "entitlements": [
            {
                "feature": "export",
                "type": "boolean",
                "value": True,
                "valid_to": None,
                "sources": [{**purchase, "value": True}, {**item, "value": True}],
            },
            {
                "feature": "seats",
                "type": "limit",
                "value": 5,
                "valid_to": "2026-02-01T00:00:00Z",
                "sources": [{**item, "value": 5}],
            },
        ],
    }


def test_the_list_is_in_the_order_of_the_codes_however_the_catalog_came() -> None:
    held = [a_grant(id=code, feature=code, value=1) for code in ("theme", "credits", "seats")]

    assert [e["feature"] for e in listed(a_snapshot(*held), START)] == ["credits", "seats", "theme"]


def test_the_list_is_empty_for_a_user_who_holds_nothing() -> None:
    assert listed(a_snapshot(), START) == []


def test_what_has_ended_not_begun_or_is_denied_is_not_listed() -> None:
    held = (a_grant(feature="credits", value=1, valid_from=START + 2 * DAY), an_item(cancel_at=START + DAY), a_denial())

    assert [e["feature"] for e in listed(a_snapshot(*held), START)] == ["seats"]
    assert listed(a_snapshot(*held), START + DAY) == []


def test_a_check_of_what_is_held_allows_with_value_and_end() -> None:
    answer = check_answer(a_snapshot(an_item(cancel_at_period_end=True)), "seats", START)

    assert answer == {
        "allowed": True,
        "value": 5,
        "reason": "entitled",
        "valid_to": "2026-02-01T00:00:00Z",
        "feature": "seats",
        "project_id": "notes",
        "user_id": "u_1",
        "version": 7,
        "as_of": "2026-01-01T00:00:00Z",
        "stale": False,
    }


def test_a_check_of_what_is_not_held_says_why() -> None:
    answer = check_answer(a_snapshot(an_item(cancel_at_period_end=True)), "seats", PERIOD_END)

    assert (answer["allowed"], answer["value"], answer["reason"], answer["valid_to"]) == (False, None, "expired", None)


def test_a_feature_the_project_does_not_have_is_not_found_rather_than_denied() -> None:
    answer = check_answer(a_snapshot(an_item()), "teleport", START)

    assert (answer["allowed"], answer["value"], answer["reason"]) == (False, None, "feature_not_found")
    assert (answer["feature"], answer["valid_to"]) == ("teleport", None)


def test_both_answers_end_with_stale_so_that_a_stored_body_can_be_marked() -> None:
    snapshot = a_snapshot(an_item())

    for answer in (
        entitlements_answer(snapshot, START),
        check_answer(snapshot, "seats", START),
        check_answer(snapshot, "teleport", START),
    ):
        assert json.dumps(answer, separators=(",", ":")).endswith(',"stale":false}')


def test_both_answers_change_at_the_windows_end_and_not_a_microsecond_before() -> None:
    snapshot = a_snapshot(an_item(cancel_at_period_end=True))

    assert listed(snapshot, PERIOD_END - TICK) == listed(snapshot, START)
    assert listed(snapshot, PERIOD_END) == []
    assert check_answer(snapshot, "seats", PERIOD_END - TICK) == check_answer(snapshot, "seats", START)
    assert check_answer(snapshot, "seats", PERIOD_END)["allowed"] is False


@given(worlds)
def test_no_answer_grants_past_the_end_it_names(world: World) -> None:
    snapshot = build("u_1", 1, START, world.holdings, world.catalog)

    for at in every_instant():
        for entitlement in listed(snapshot, at):
            end = FOREVER if entitlement["valid_to"] is None else parse_rfc3339(entitlement["valid_to"])
            assert at < end
            later = check_answer(snapshot, entitlement["feature"], end)
            assert json.dumps(later["value"]) != json.dumps(entitlement["value"]) or end == FOREVER


@given(worlds)
def test_an_answer_is_the_same_from_the_snapshot_and_from_its_document(world: World) -> None:
    snapshot = build("u_1", 1, START, world.holdings, world.catalog)
    read = from_document(to_document(snapshot))

    for at in every_instant():
        assert json.dumps(entitlements_answer(read, at)) == json.dumps(entitlements_answer(snapshot, at))


@given(worlds)
def test_the_list_and_the_checks_agree(world: World) -> None:
    snapshot = build("u_1", 1, START, world.holdings, world.catalog)

    for at in every_instant():
        held = {e["feature"]: (e["value"], e["valid_to"]) for e in listed(snapshot, at)}
        checks = {code: check_answer(snapshot, code, at) for code in snapshot.features}
        assert held == {code: (c["value"], c["valid_to"]) for code, c in checks.items() if c["allowed"]}


def test_a_listed_end_may_lie_after_the_segment_when_only_the_sources_change() -> None:
    snapshot = a_snapshot(an_item(cancel_at_period_end=True), a_purchase())
    before, after = (
        next(e for e in listed(snapshot, at) if e["feature"] == "export") for at in (PERIOD_END - TICK, PERIOD_END)
    )

    assert segment(snapshot, START).end == PERIOD_END
    assert before["valid_to"] is after["valid_to"] is None
    assert [s["kind"] for s in before["sources"]] == ["purchase", "subscription_item"]
    assert [s["kind"] for s in after["sources"]] == ["purchase"]
