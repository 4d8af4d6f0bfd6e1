"""When a function builds its adapters: at init on Lambda (billed and boosted there), at the first call elsewhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

Handle = Callable[[dict[str, Any], Any], Any]
"""A Lambda handler: (event, context) → response."""


def entrypoint(build: Callable[[], Handle]) -> Handle:
    """The handler that `build` makes. Importing a handler module outside Lambda stays inert.

    On Lambda an exception of `build` fails the cold start, as a missing setting must.
    """
    if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
        return build()
    built = functools.cache(build)

    def lambda_handler(event: dict[str, Any], context: Any) -> Any:
        return built()(event, context)

    return lambda_handler
