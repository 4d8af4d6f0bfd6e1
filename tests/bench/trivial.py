"""Handlers that do nothing but answer as the check does: what the platform itself costs. Imports nothing of ours."""

import json
import os
import sys
from typing import Any

BODY = os.environ.get("BENCH_BODY", '{"received":true}')
HEADERS = {"content-type": "application/json", "cache-control": "private, max-age=0, must-revalidate"}


def silent(_event: Any, _context: Any) -> dict[str, Any]:
    return {"statusCode": 200, "headers": HEADERS, "body": BODY, "isBase64Encoded": False}


def logging(event: Any, context: Any) -> dict[str, Any]:
    """With one line, as any function writes that is operated."""
    line = {"level": "INFO", "path": event["path"], "request_id": context.aws_request_id}
    sys.stderr.write(json.dumps(line) + "\n")
    return silent(event, context)
