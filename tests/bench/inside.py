"""What a benchmark's function runs: the handler that BENCH_HANDLER names, told apart from the question for its CPU."""

import importlib
import os
import time
from typing import Any

_module, _, _name = os.environ["BENCH_HANDLER"].rpartition(".")
_handler = getattr(importlib.import_module(_module), _name)


def lambda_handler(event: Any, context: Any) -> Any:
    if "bench" in event:
        return time.process_time()
    return _handler(event, context)
