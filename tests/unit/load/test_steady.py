import pytest

from tests.load.steady import LOWEST, PRECISION, highest


@pytest.mark.parametrize("capacity", [LOWEST * 1.3, 24, 25, 60, 137, 1000])
def test_the_highest_rate_is_found_to_a_few_percent(capacity: float) -> None:
    assert capacity / PRECISION <= highest(lambda rate: rate <= capacity) <= capacity


def test_one_bad_moment_of_the_machine_does_not_end_the_search() -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= 100 and asked.count(50) != 1

    assert highest(holds) == 100


def test_a_machine_that_holds_nothing_is_told_so() -> None:
    with pytest.raises(RuntimeError, match="is the machine busy"):
        highest(lambda _: False)
