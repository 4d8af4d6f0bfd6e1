import pytest

from billing.domain.facts import News, compare


@pytest.mark.parametrize(
    ("stored", "observed", "news"),
    [
        (None, 0, "newer"),
        (None, 100, "newer"),
        (100, 101, "newer"),
        (100, 100, "tie"),
        (100, 99, "older"),
        (0, 0, "tie"),
    ],
)
def test_a_second_later_is_newer_a_second_before_is_older_and_the_same_second_is_a_tie(
    stored: int | None, observed: int, news: News
) -> None:
    assert compare(stored, observed) == news
