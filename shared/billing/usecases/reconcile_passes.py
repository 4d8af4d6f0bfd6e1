"""The passes of a run: what each compares and how it repairs."""

from __future__ import annotations

from collections.abc import Mapping

from billing.domain.drift import PassName
from billing.usecases.compare_cache import compare_cache
from billing.usecases.compare_holdings import compare_holdings, repair_holdings
from billing.usecases.compare_listing import compare_listing
from billing.usecases.find_missed_events import find_missed_events
from billing.usecases.reconcile_steps import Pass
from billing.usecases.repair_cache import repair_cache
from billing.usecases.repair_drift import repair

PASSES: Mapping[PassName, Pass] = {
    "events": Pass(find_missed_events, repair),
    "listing": Pass(compare_listing, repair),
    "holdings": Pass(compare_holdings, repair_holdings),
    "cache": Pass(compare_cache, repair_cache, gated=False),
}
"""The cache is a copy: to make it say what the store says takes nothing from anybody who has it."""
