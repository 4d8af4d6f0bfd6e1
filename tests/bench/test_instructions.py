"""The check's own speed, held where time cannot be: in instructions, which are the same on a busy machine."""

import pytest

from tests.bench.instructions import GROWTH, HOW_TO_RECORD, available, count, grown, recorded


@pytest.mark.skipif(not available(), reason="counting instructions needs Linux and valgrind (apt-get install valgrind)")
def test_neither_the_cold_imports_nor_a_hit_have_grown_by_a_tenth() -> None:
    factors = grown(count(), recorded())
    grew = {name: f"{factor:.2f} of the record" for name, factor in factors.items() if factor > GROWTH}
    assert not grew, f"look at what was added; if it is worth it, record anew: {HOW_TO_RECORD}"
