"""How long to wait before the same is tried again, so that those who failed together do not come back together."""

from __future__ import annotations


def spread(shortest: float, longest: float) -> float:
    """Seconds, anywhere between."""
    import random  # noqa: PLC0415  seeds itself at import: of no use to a call that succeeds

    return random.uniform(shortest, longest)  # noqa: S311  spreads retries, guards nothing
