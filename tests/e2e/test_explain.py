"""A batch of checks, and the question why, over HTTP."""

import uuid
from datetime import UTC, datetime
from urllib.parse import urlencode

from infra.local.console import Terminal
from infra.local.story import App, play


def test_a_purchase_is_explained_as_the_batch_says_and_as_it_was_before(app: App) -> None:
    before = datetime.now(UTC)
    user_id = play(app.stack, Terminal()).user_id
    stranger = f"user-{uuid.uuid4().hex[:8]}"
    checks = [{"user_id": user_id, "feature": "export"}, {"user_id": stranger, "feature": "export"}]
    results = app.must("POST", "/api/v1/entitlements/check", {"checks": checks})["results"]
    for check, result in zip(checks, results, strict=True):
        told = app.must("GET", f"/api/v1/entitlements/explain?{urlencode(check)}")
        assert (told["allowed"], told["reason"]) == (result["allowed"], result["reason"])
        assert bool(told["changes"]) is (check["user_id"] == user_id)
    at = before.isoformat()
    told = app.must("GET", f"/api/v1/entitlements/explain?{urlencode({**checks[0], 'at': at})}")
    assert (told["allowed"], told["reason"], told["sources"]) == (False, "no_source", [])
