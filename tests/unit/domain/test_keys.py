from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.keys import Mode, Role, digest, fault_of, mint, tag, tag_of, well_formed

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
RANDOM = bytes(range(32))


@given(
    mode=st.sampled_from(["live", "test"]),
    project=st.none() | st.text(max_size=63),
    random=st.binary(min_size=32, max_size=32),
)
def test_a_minted_key_is_well_formed_and_names_its_projects_tag(mode: Mode, project: str | None, random: bytes) -> None:
    key = mint(mode, project, random)
    assert key.startswith(f"bk_{mode}_")
    assert len(key) == 67
    assert well_formed(key)
    assert tag_of(key) == tag(project)


def test_the_format_never_changes_under_the_keys_already_given_out() -> None:
    # made with openssl, base32 and gzip's CRC
    key = "bk_test_vnnks4duAAECAwQFBgcICQoLDA0ODxAR"
    key += "EhMUFRYXGBkaGxwdHh83134f1b2"
    assert mint("test", "notes", RANDOM) == key
    assert digest(key).hex() == "da45c411b4f4e2da78c9b894ad4b0ffd55e0f1fadc0aa1f3f119f84186028466"


def test_an_admin_keys_tag_is_that_of_no_project() -> None:
    assert tag(None) == tag("") == "4oymiquy"  # openssl and base32, likewise


@given(place=st.integers(0, 66), character=st.characters(min_codepoint=32, max_codepoint=126))
def test_one_changed_character_makes_it_none(place: int, character: str) -> None:
    key = mint("live", "notes", RANDOM)
    changed = key[:place] + character + key[place + 1 :]
    assert well_formed(changed) == (changed == key)


@given(st.text(max_size=100))
def test_garbage_is_no_key(text: str) -> None:
    assert not well_formed(text)


@pytest.mark.parametrize("change", [str.upper, lambda key: key + "\n", lambda key: " " + key, lambda key: key * 2])
def test_a_key_written_otherwise_is_no_key(change: object) -> None:
    assert callable(change)
    assert not well_formed(change(mint("live", "notes", RANDOM)))


def test_a_key_needs_all_its_randomness() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        mint("live", "notes", b"short")


def judged(
    *,
    role: Role = "project",
    status: Literal["active", "suspended"] | None = "active",
    expires_at: datetime | None = None,
    revoked_at: datetime | None = None,
) -> str | None:
    return fault_of(
        NOW, needs="project", role=role, project_status=status, expires_at=expires_at, revoked_at=revoked_at
    )


@pytest.mark.parametrize(
    ("away", "fault"), [(TICK, None), (timedelta(0), "invalid_api_key"), (-TICK, "invalid_api_key")]
)
def test_a_key_is_over_at_the_very_instant_of_its_end(away: timedelta, fault: str | None) -> None:
    assert judged(expires_at=NOW + away) == fault
    assert judged(revoked_at=NOW + away) == fault


def test_a_suspended_projects_key_says_so_and_a_revoked_one_does_not() -> None:
    assert judged(status="suspended") == "project_suspended"
    assert judged(status="suspended", revoked_at=NOW) == "invalid_api_key"


def test_an_admin_key_does_not_open_a_projects_routes() -> None:
    assert judged(role="admin", status=None) == "wrong_role"
