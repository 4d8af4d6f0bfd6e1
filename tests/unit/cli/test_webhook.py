"""`billing webhook`: what is sent, and what is told."""

import pytest

from tests.unit.cli.terminal import URL, Terminal, ok, problem

WEBHOOKS = f"{URL}/api/v1/webhooks/stripe"
NOTHING: dict[str, object] = {"created": [], "mended": [], "deleted": [], "live_secrets": 1}
ENDPOINT = {
    "id": "we_1",
    "url": WEBHOOKS,
    "enabled": True,
    "api_version": "2026-10-28.endive",
    "events": ["invoice.paid"],
    "missing": ["price.updated"],
    "superfluous": [],
}
DEPLOYMENT = {
    "webhook_url": WEBHOOKS,
    "api_version": "2026-10-28.endive",
    "events": ["invoice.paid", "price.updated"],
    "endpoints": [ENDPOINT],
}


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["create"], {"step": "create", "url": WEBHOOKS}),
        (["create", "--reason", "new"], {"step": "create", "url": WEBHOOKS, "reason": "new"}),
        (["rotate"], {"step": "rotate", "url": WEBHOOKS}),
        (["rotate", "--finish"], {"step": "finish", "url": WEBHOOKS}),
        (["create", "--webhook-url", "https://x.example/y"], {"step": "create", "url": "https://x.example/y"}),
    ],
)
def test_what_is_typed_is_what_is_sent(terminal: Terminal, arguments: list[str], body: dict[str, str]) -> None:
    assert terminal.replying(ok(NOTHING)).run("webhook", *arguments).exit_code == 0
    assert terminal.sent() == body


def test_what_was_done_is_told_endpoint_by_endpoint(terminal: Terminal) -> None:
    done = terminal.replying(ok({**NOTHING, "created": ["we_2"], "live_secrets": 2})).run("webhook", "rotate")
    assert done.stdout.splitlines() == ["created we_2", "live secrets: 2"]
    assert "billing webhook rotate --finish" in done.stderr


def test_a_deleted_endpoint_takes_what_it_had_still_to_send_along(terminal: Terminal) -> None:
    done = terminal.replying(ok({**NOTHING, "deleted": ["we_1"]})).run("webhook", "rotate", "--finish")
    assert "billing reconcile --pass events" in done.stderr


def test_an_endpoint_that_is_as_it_should_be_is_left(terminal: Terminal) -> None:
    assert "Nothing to change" in terminal.replying(ok(NOTHING)).run("webhook", "create").stdout


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        ("webhook_not_found", "billing webhook create"),
        ("webhook_rotating", "billing webhook rotate --finish"),
        ("url_not_allowed", "billing profile list"),
        ("webhook_refused", "billing webhook show"),
    ],
)
def test_a_refusal_says_what_to_do(terminal: Terminal, code: str, mend: str) -> None:
    done = terminal.replying(problem(409, code)).run("webhook", "rotate")
    assert done.exit_code == 1
    assert mend in done.stderr


def test_show_tells_what_the_endpoint_lacks(terminal: Terminal) -> None:
    done = terminal.replying(ok(DEPLOYMENT)).run("webhook", "show")
    assert "invoice.paid price.updated" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["we_1", "yes", "2026-10-28.endive", "price.updated", "-"]


def test_without_an_endpoint_show_is_1_and_says_how_to_make_one(terminal: Terminal) -> None:
    done = terminal.replying(ok({**DEPLOYMENT, "endpoints": []})).run("webhook", "show")
    assert done.exit_code == 1
    assert "billing webhook create" in done.stderr
