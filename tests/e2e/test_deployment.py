"""`billing deploy check` and `billing webhook` against the running system, as an operator types them."""

from pathlib import Path

from infra.local.kept import Stack
from tests.support.command import billing


def test_what_is_deployed_here_passes_every_check_that_can_be_made_here(stack: Stack, tmp_path: Path) -> None:
    told = billing(stack, tmp_path, "deploy", "check")
    by_others = {"reconciliation", "dead letters", "queue", "outbox"}  # what other tests may just be at
    states = {one["check"]: one["state"] for one in told["checks"] if one["check"] not in by_others}
    assert states == {
        "health": "ok",
        "readiness": "ok",
        "admin key": "ok",
        "migrations": "ok",
        "cache": "ok",
        "stripe key": "ok",
        "webhook secret": "ok",
        "signing keys": "ok",
        "clock": "unknown",  # a double's
        "webhook endpoint": "ok",
        "this machine's clock": "ok",
    }


def test_the_endpoint_that_the_deployment_made_is_left_as_it_is(stack: Stack, tmp_path: Path) -> None:
    """Through the gateway, whose Host header must be that of the endpoint's URL."""
    told = billing(stack, tmp_path, "webhook", "create")
    assert told == {"created": [], "mended": [], "deleted": [], "live_secrets": 1}
