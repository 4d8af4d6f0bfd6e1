from dataclasses import dataclass

from billing.usecases.pace import Pace


@dataclass
class Clock:
    now: float = 1_000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def asked_in(clock: Clock, pace: Pace, questions: int) -> float:
    """Seconds until so many were asked."""
    begun = clock.now
    for _ in range(questions):
        pace.spend()
    return clock.now - begun


def test_beyond_the_first_second_questions_keep_to_the_rate() -> None:
    clock = Clock()
    pace = Pace(20, lambda: clock.now, clock.sleep)
    assert asked_in(clock, pace, 20) == 0
    assert round(asked_in(clock, pace, 200), 6) == 10


def test_a_long_silence_saves_up_no_more_than_a_second() -> None:
    clock = Clock()
    pace = Pace(20, lambda: clock.now, clock.sleep)
    asked_in(clock, pace, 20)
    clock.now += 3_600
    assert round(asked_in(clock, pace, 40), 6) == 1
