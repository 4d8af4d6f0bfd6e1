"""Pages of a list are asked for ahead and given in order, none lost to a fault behind it."""

import threading
from collections.abc import Callable

import pytest

from billing.errors import Transient
from billing.payments.members import Members
from billing.payments.objects import Page
from billing.usecases.pages_ahead import TOGETHER, one_thread, pages_ahead


def page(number: int, of: int) -> Page:
    return Page((Members({}, "row"),), number, str(number) if number < of else None)


def list_of(count: int, before: Callable[[int], object] = lambda _number: None) -> Callable[[str | None], Page]:
    """Pages 1 to `count`, each going on after its own number. `before` runs before that page is there."""

    def ask(after: str | None) -> Page:
        number = int(after or 0) + 1
        before(number)
        return page(number, count)

    return ask


def number_of(one: Page) -> int:
    return one.at


def broken_at(number: int) -> Callable[[int], None]:
    def before(asked: int) -> None:
        if asked == number:
            raise Transient("stripe_unavailable", "Stripe did not answer: try again.")

    return before


@pytest.mark.parametrize("count", [1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER + 2])
def test_all_pages_are_given_in_order(count: int) -> None:
    with one_thread() as thread:
        groups = list(pages_ahead(thread, list_of(count), number_of, None))

    assert [number for numbers, _ in groups for number in numbers] == list(range(1, count + 1))
    assert max(len(numbers) for numbers, _ in groups) <= TOGETHER
    assert [last for _, last in groups] == [*(str(numbers[-1]) for numbers, _ in groups[:-1]), None]


def test_a_list_goes_on_after_an_id() -> None:
    with one_thread() as thread:
        assert [*pages_ahead(thread, list_of(3), number_of, "1")] == [([2, 3], None)]


def test_pages_do_not_wait_for_one_that_is_slow() -> None:
    there = threading.Event()
    with one_thread() as thread:
        groups = pages_ahead(thread, list_of(3, lambda number: number < 3 or there.wait(10)), number_of, None)
        assert next(groups) == ([1, 2], "2")
        there.set()
        assert [*groups] == [([3], None)]


def test_what_came_before_a_question_that_fails_is_given_before_it_is_told() -> None:
    with one_thread() as thread:
        groups = pages_ahead(thread, list_of(5, broken_at(3)), number_of, None)
        assert next(groups) == ([1, 2], "2")
        with pytest.raises(Transient):
            next(groups)


def test_what_came_before_a_page_that_cannot_be_read_is_given_before_it_is_told() -> None:
    def read(one: Page) -> int:
        broken_at(3)(one.at)
        return one.at

    with one_thread() as thread:
        groups = pages_ahead(thread, list_of(5), read, None)
        assert next(groups) == ([1, 2], "2")
        with pytest.raises(Transient):
            next(groups)


def test_not_more_than_two_questions_are_ahead() -> None:
    asked: list[int] = []
    with one_thread() as thread:
        groups = pages_ahead(thread, list_of(50, asked.append), number_of, None)
        [*numbers], _ = next(groups)
        thread.submit(int).result()  # the thread has done all that it was given
        assert max(asked) <= numbers[-1] + 2


def test_a_list_that_is_left_asks_no_more() -> None:
    asked: list[int] = []
    going_on = threading.Event()

    def before(number: int) -> None:
        asked.append(number)
        if number == 2:
            going_on.wait(10)

    with one_thread() as thread:
        groups = pages_ahead(thread, list_of(9, before), number_of, None)
        assert next(groups) == ([1], "1")
        thread.submit(int).add_done_callback(lambda _left: going_on.set())  # it is called off as all before it
    assert asked == [1, 2]
