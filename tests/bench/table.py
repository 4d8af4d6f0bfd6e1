"""A row of the table of ratios: interleaved pairs of ours and a reference, both measured in the same run."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

HEAD = "| what ÷ reference | median | spread | target | | as measured |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """`ratios` has one a pair. `target` is a ceiling (`smaller`) or a floor; None: only reported.

    `note` has the absolute medians with their units, for whoever wants to know on what scale the ratio is.
    """

    name: str
    ratios: tuple[float, ...]
    target: float | None
    smaller: bool = True
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool | None:
        """None where nothing was aimed at."""
        if self.target is None:
            return None
        return self.median <= self.target if self.smaller else self.median >= self.target

    def __str__(self) -> str:
        """The line of a Markdown table under `HEAD`."""
        spread = f"{_figure(min(self.ratios))} to {_figure(max(self.ratios))}"
        aim = "" if self.target is None else f"{'≤' if self.smaller else '≥'} {self.target:g}"
        verdict = {True: "met", False: "**missed**", None: ""}[self.met]
        return f"| {self.name} | {_figure(self.median)} | {spread} | {aim} | {verdict} | {self.note} |"


def pairs(ours: Callable[[], float], theirs: Callable[[], float], count: int) -> tuple[tuple[float, float], ...]:
    """So many (ours, theirs). They take turns at being first, so that a drift of the machine favours neither."""
    seen = []
    for place in range(count):
        if place % 2:
            second = theirs()
            seen.append((ours(), second))
        else:
            first = ours()
            seen.append((first, theirs()))
    return tuple(seen)


def ratios(seen: Iterable[tuple[float, float]]) -> tuple[float, ...]:
    return tuple(first / second for first, second in seen)


def medians(seen: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Of either side alone: for a row's note."""
    first, second = zip(*seen, strict=True)
    return statistics.median(first), statistics.median(second)


def _figure(value: float) -> str:
    """Three digits that say something."""
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
