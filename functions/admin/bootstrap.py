"""The first admin key, by invoking this function directly: whoever may do that in AWS may deploy it too.

aws lambda invoke --function-name …-admin --payload '{"bootstrap": {"name": "ann"}}' key.json
"""

from __future__ import annotations

from typing import Any

from billing.errors import BillingError
from billing.runtime.log import Log
from billing.usecases.manage_projects import first_admin_key
from functions.admin.desk import Desk

MEMBER = "bootstrap"
_LONGEST_NAME = 100


def first_key(desk: Desk, asked: Any, log: Log, context: Any) -> dict[str, Any]:
    """The key, shown this once; `error` and what to do instead while another admin key lives, or without a name."""
    name = asked.get("name") if isinstance(asked, dict) else None
    if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        return {"error": "invalid_request", "detail": 'send {"bootstrap": {"name": "who will use the key"}}'}
    try:
        made = first_admin_key(desk.database_url, name, "live" if desk.livemode else "test", desk.now())
    except BillingError as error:
        log.request("bootstrap refused", context, code=error.code)
        return {"error": error.code, "detail": error.detail}
    log.request("bootstrap", context, key_id=made.id)
    return {"id": made.id, "key": made.secret, "detail": "Keep it now: it cannot be shown again."}
