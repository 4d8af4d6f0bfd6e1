"""One JSON line per request, of the shape Powertools' Logger writes, at a tenth of its cost.

Callers pass names and numbers, never keys, secrets, e-mails, user ids or bodies; `_SECRETS` is the net beneath that.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_SECRETS = (
    r"bk_(?:live|test)_[\w-]+"  # our own keys
    r"|(?:sk|rk|pk)_(?:live|test)_\w+|whsec_[\w+/=]+"  # Stripe's
    r"|(?<=://)[^\s/@:\"]+:[^\s/@\"]+(?=@)"  # user:password@ in an address
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # e-mail addresses
)
_MARKS = ("bk_", "k_live_", "k_test_", "whsec_", "@")
"""One of these is in whatever `_SECRETS` matches: looking for them costs a tenth of it."""

_encode = json.JSONEncoder(separators=(",", ":"), default=str, check_circular=False).encode


class Log:
    """Writes lines of at least `level` to stderr; a local emulator waits for stderr, and Lambda keeps both streams.

    Metrics are of the namespace `billing-<stage>`, for an account may have several stages.
    """

    def __init__(
        self, service: str, level: str = "INFO", stream: TextIO | None = None, *, stage: str = "local"
    ) -> None:
        if level not in _LEVELS:
            raise ValueError(f"log level {level!r} is none of {', '.join(_LEVELS)}: mend LOG_LEVEL")
        self._service = service
        self._threshold = _LEVELS[level]
        self._namespace = f"billing-{stage}"
        self._stream = stream
        self._cold = True

    def debug(self, message: str, **keys: Any) -> None:
        self._write("DEBUG", message, keys)

    def info(self, message: str, **keys: Any) -> None:
        self._write("INFO", message, keys)

    def warning(self, message: str, **keys: Any) -> None:
        self._write("WARNING", message, keys)

    def error(self, message: str, error: BaseException | None = None, **keys: Any) -> None:
        """With an exception: its name, its text and where it came from, as Powertools names them."""
        self._write("ERROR", message, keys | _exception(error))

    def request(
        self,
        message: str,
        context: Any,
        *,
        level: str = "INFO",
        counts: Mapping[str, int] | None = None,
        error: BaseException | None = None,
        **keys: Any,
    ) -> None:
        """The one line of an invocation. `counts` makes it a CloudWatch metric as well (embedded metric format)."""
        now = datetime.now(UTC)
        head: dict[str, Any] = {"cold_start": self._cold}
        self._cold = False
        request_id = getattr(context, "aws_request_id", None)
        if request_id is not None:
            head["function_request_id"] = request_id
        if counts:
            keys |= {**counts, "_aws": self._metrics(counts, now)}
        self._write(level, message, head | keys | _exception(error), now)

    def measure(self, message: str, gauges: Mapping[str, int], **dimensions: str) -> None:
        """A line that is nothing but metrics, told apart by `dimensions` beside the service."""
        now = datetime.now(UTC)
        self._write("INFO", message, {**dimensions, **gauges, "_aws": self._metrics(gauges, now, *dimensions)}, now)

    def _metrics(self, counts: Mapping[str, int], now: datetime, *dimensions: str) -> dict[str, Any]:
        metrics = [{"Name": name, "Unit": "Seconds" if name.endswith("Seconds") else "Count"} for name in counts]
        directive = {"Namespace": self._namespace, "Dimensions": [["service", *dimensions]], "Metrics": metrics}
        return {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]}

    def _write(self, level: str, message: str, keys: Mapping[str, Any], now: datetime | None = None) -> None:
        # a line that carries a metric is written whatever the level: it is counted, not read
        if _LEVELS[level] < self._threshold and "_aws" not in keys:
            return
        now = now or datetime.now(UTC)
        line = {
            "level": level,
            "message": message,
            "timestamp": now.isoformat(" ", "milliseconds")[:23].replace(".", ",") + "+0000",
            "service": self._service,
            **keys,
        }
        text = _encode(line)
        if any([mark in text for mark in _MARKS]):  # noqa: C419  a generator costs twice as much
            text = re.sub(_SECRETS, "[redacted]", text)  # compiled when first needed, and kept by re
        stream = self._stream or sys.stderr
        stream.write(text + "\n")
        stream.flush()


def _exception(error: BaseException | None) -> dict[str, str]:
    if error is None:
        return {}
    import traceback  # noqa: PLC0415  most containers never need it

    return {"exception_name": type(error).__name__, "exception": "".join(traceback.format_exception(error))}
