"""The stored signing secrets: what is taken as such, and what stands there before the first."""

import pytest

from billing.domain.signing import PLACEHOLDER, Signing, placeholder_of, signings_of, stored

BOTH = (Signing("whsec_old", "we_1"), Signing("whsec_new", "we_2"))


def test_what_is_stored_is_read_back() -> None:
    assert signings_of(stored(BOTH)) == BOTH


@pytest.mark.parametrize("endpoints", [None, [], ["we_1"], ["we_1", 2, "we_3"], "we_1"])
def test_secrets_that_a_person_stored_are_of_no_known_endpoint(endpoints: object) -> None:
    by_hand = {"secrets": ["whsec_old", "whsec_new"], "endpoints": endpoints}
    assert signings_of(by_hand) == (Signing("whsec_old"), Signing("whsec_new"))


def test_before_the_first_there_are_none() -> None:
    assert signings_of({"secrets": [], PLACEHOLDER: "x" * 32}) == ()


@pytest.mark.parametrize("secrets", [None, "whsec_a", ["whsec_"], ["plain"], [7], ["whsec_a", "whsec_b", "whsec_c"]])
def test_what_is_no_list_of_up_to_two_is_none(secrets: object) -> None:
    assert signings_of({"secrets": secrets}) is None


@pytest.mark.parametrize("text", [None, "", "short", 7])
def test_only_a_long_random_text_stands_in_for_a_secret(text: object) -> None:
    assert placeholder_of({PLACEHOLDER: text}) is None


def test_a_secret_is_in_no_repr() -> None:
    assert "old" not in repr(BOTH)
