from datetime import UTC, datetime, timedelta

import pytest

from billing.cache import entitlements
from billing.cache.client import Client
from billing.domain import keys
from billing.errors import Refused, Transient
from billing.store.connection import transaction
from billing.store.keys import find_key
from billing.usecases.manage_projects import create_key, create_project, revoke_key
from billing.usecases.publish_outbox import Publisher
from billing.usecases.refill_snapshot import refill_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def make(publisher: Publisher, project_id: str = "notes") -> bool:
    return create_project(
        publisher.database_url, project_id=project_id, name="Notes", allowed_origins=["https://notes.example"]
    )


def test_a_project_is_created_once_and_then_left_as_it_is(publisher: Publisher) -> None:
    assert make(publisher)
    assert not make(publisher)


def test_an_origin_that_is_none_is_refused_by_its_pointer(publisher: Publisher) -> None:
    with pytest.raises(Refused) as refusal:
        create_project(
            publisher.database_url,
            project_id="notes",
            name="Notes",
            allowed_origins=["https://notes.example", "https://good.example@evil.example"],
        )
    assert [fault.pointer for fault in refusal.value.fields] == ["/allowed_origins/1"]


def test_a_key_is_kept_as_its_digest_only(publisher: Publisher) -> None:
    make(publisher)

    key = create_key(publisher.database_url, project_id="notes", name="web", mode="test")

    with transaction(publisher.database_url) as connection:
        known = find_key(connection, keys.digest(key.secret))
        stored = connection.execute("SELECT k::text FROM api_keys AS k").fetchall()
    assert known is not None
    assert (known.id, known.role, known.project_id, known.allowed_origins) == (
        key.id,
        "project",
        "notes",
        ["https://notes.example"],
    )
    assert key.secret not in str(stored)


def test_an_admin_key_has_a_name_and_no_project(publisher: Publisher) -> None:
    key = create_key(publisher.database_url, project_id=None, name="ops@desk", mode="test")

    with transaction(publisher.database_url) as connection:
        known = find_key(connection, keys.digest(key.secret))
    assert known is not None
    assert (known.role, known.project_id, known.name) == ("admin", None, "ops@desk")


def test_a_key_for_no_project_is_refused(publisher: Publisher) -> None:
    with pytest.raises(Refused, match="project_not_found"):
        create_key(publisher.database_url, project_id="nowhere", name="web", mode="test")


def test_a_revoked_key_is_revoked_in_the_cache_before_it_is_done(publisher: Publisher, cache: Client) -> None:
    make(publisher)
    key = create_key(publisher.database_url, project_id="notes", name="web", mode="test")
    refill_key(publisher.database_url, cache, keys.digest(key.secret), NOW)

    revoke_key(publisher, "notes", key.id, NOW + timedelta(minutes=1))

    found = entitlements.read(cache, keys.digest(key.secret), keys.tag("notes"), "ann", None)
    assert found.key is not None
    assert found.key.revoked_at == NOW + timedelta(minutes=1)


def test_a_revocation_that_could_not_be_published_is_no_success_and_its_retry_publishes(
    publisher: Publisher, dead_publisher: Publisher, cache: Client
) -> None:
    make(publisher)
    key = create_key(publisher.database_url, project_id="notes", name="web", mode="test")
    refill_key(publisher.database_url, cache, keys.digest(key.secret), NOW)

    with pytest.raises(Transient):
        revoke_key(dead_publisher, "notes", key.id, NOW)
    revoke_key(publisher, "notes", key.id, NOW + timedelta(hours=1))

    found = entitlements.read(cache, keys.digest(key.secret), keys.tag("notes"), "ann", None)
    assert found.key is not None
    assert found.key.revoked_at == NOW  # the first attempt's instant stands
