from billing.runtime.breaker import REST, Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_the_given_failures_in_a_row() -> None:
    breaker = Breaker(failures=2, monotonic=Clock())
    seen = []
    for happen in (breaker.failed, breaker.succeeded, breaker.failed, breaker.failed):
        happen()
        seen.append(breaker.closed)
    assert seen == [True, True, True, False]


def test_after_its_rest_a_probe_decides() -> None:
    clock = Clock()
    breaker = Breaker(monotonic=clock)
    breaker.failed()
    seen = []
    for pause, happen in ((REST - 0.001, None), (0.001, breaker.failed), (REST, breaker.succeeded)):
        clock.now += pause
        seen.append(breaker.closed)
        if happen is not None:
            happen()
            seen.append(breaker.closed)
    assert seen == [False, True, False, True, True]


def test_it_rests_for_a_second_at_most() -> None:
    assert REST <= 1
