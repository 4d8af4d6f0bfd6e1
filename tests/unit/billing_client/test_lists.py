"""All that a user holds, kept by its ETag."""

from datetime import timedelta

import pytest

from billing_client import LastKnown, Unavailable
from tests.unit.billing_client.desk import Desk


def test_a_list_has_what_is_held_with_values_and_ends(desk: Desk) -> None:
    until = desk.fake.now + timedelta(days=1)
    desk.fake.grant("ada", "export")
    desk.fake.grant("ada", "seats", 5, until=until)

    held = desk.client().entitlements("ada")

    assert sorted(held.held) == ["export", "seats"]
    assert "export" in held
    assert (held.value("seats"), held.value("theme"), held.valid_to) == (5, None, until)


def test_a_user_nobody_knows_holds_nothing(desk: Desk) -> None:
    assert dict(desk.client().entitlements("nobody").held) == {}


def test_an_unchanged_list_is_confirmed_by_its_tag_and_kept_on(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=5, stale_for=0)
    first = client.entitlements("ada")
    desk.fake.advance(6)

    again = client.entitlements("ada")

    assert (again.source, again.version, again.as_of) == ("service", first.version, first.as_of)
    assert client.entitlements("ada").source == "memory"


def test_a_changed_list_takes_the_place_of_the_old_one(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    client = desk.client(fresh_for=5, stale_for=10)
    client.entitlements("ada")
    desk.fake.grant("ada", "seats", 5)
    desk.fake.advance(6)

    assert "seats" not in client.entitlements("ada")
    desk.until(lambda: "seats" in client.entitlements("ada"))


def test_a_list_ends_with_the_first_window_in_it_even_when_it_was_confirmed(desk: Desk) -> None:
    desk.fake.grant("ada", "export", until=desk.fake.now + timedelta(seconds=20))
    client = desk.client(fresh_for=15, stale_for=0)
    client.entitlements("ada")
    desk.fake.advance(16)
    client.entitlements("ada")
    desk.fake.advance(4)

    assert "export" not in client.entitlements("ada")


def test_an_empty_list_is_remembered_as_shortly_as_a_no(desk: Desk) -> None:
    client = desk.client(denied_for=1, fresh_for=3600)
    client.entitlements("ada")
    desk.fake.grant("ada", "export")
    desk.fake.advance(1)

    assert "export" in client.entitlements("ada")


def test_without_an_answer_a_list_is_an_error_unless_the_last_known_will_do(desk: Desk) -> None:
    desk.fake.grant("ada", "export")
    strict, lenient = desk.client(), desk.client(lists=LastKnown(60))
    strict.entitlements("ada")
    lenient.entitlements("ada")
    desk.fake.advance(30)

    with desk.fake.down():
        with pytest.raises(Unavailable):
            strict.entitlements("ada")
        held = lenient.entitlements("ada")

    assert "export" in held
    assert (held.source, held.degraded) == ("last_known", True)
