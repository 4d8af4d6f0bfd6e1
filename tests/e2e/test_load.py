"""The load scenarios' users for three seconds: they meet no error, so `make load` measures what it says."""

import json
import time
import uuid
from pathlib import Path

from billing.payments.client import API_VERSION
from infra.local.browser import open_page, press
from infra.local.kept import Stack
from infra.local.seed import APP_URL
from infra.local.story import App, until
from tests.load import open_loop
from tests.load.asks import checks_alone
from tests.load.crowd import run_crowd
from tests.load.plan import Plan


def sold_to(app: App) -> str:
    """A new user who holds something."""
    user_id = f"load-{uuid.uuid4().hex[:10]}"
    order = {"user_id": user_id, "lookup_key": "pro_monthly", "success_url": APP_URL, "cancel_url": APP_URL}
    press(open_page(app.must("POST", "/api/v1/checkout", order)["url"]), "Pay")
    until(lambda: app.check(user_id), lambda found: bool(found["allowed"]))
    return user_id


def event_of_no_interest() -> bytes:
    event = {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "account.updated",
        "created": int(time.time()),
        "livemode": False,
        "api_version": API_VERSION,
        "data": {"object": {"id": "acct_load", "object": "account"}},
    }
    return json.dumps(event).encode()


def test_callers_buyers_and_senders_meet_no_error(app: App, stack: Stack, tmp_path: Path) -> None:
    deliveries = tmp_path / "deliveries"
    deliveries.write_bytes(event_of_no_interest())
    plan = Plan(
        api_url=stack.api_url,
        key=stack.project_key,
        holders=[sold_to(app)],
        others=["load-nobody"],
        rate=20,
        callers=2,
        buyers=1,
        senders=1,
        deliveries=str(deliveries),
        webhook_secret=stack.webhook_secret,
    )
    lines = {line.name: line for line in run_crowd("smoke", plan, 3)}
    # what is under way at the end is finished, so there is at least one of each
    assert {"check", "checkout", "webhook", "from paid to allowed"} <= set(lines)
    assert lines["Aggregated"].failures == 0
    asks = checks_alone(plan.holders, seed=1)
    assert open_loop.play("check", plan.api_url, plan.key, asks, rate=20, seconds=1).failures == 0
