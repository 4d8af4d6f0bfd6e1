"""`billing deploy check`: what it finds, and what it advises."""

import ast
from pathlib import Path
from typing import Any

import httpx
import pytest

from billing_cli.advice import ADVICE, advice_of
from tests.unit.cli.terminal import KEY, URL, Done, Terminal, commands, ok, problem

ROOT = Path(__file__).parents[3]
WEBHOOKS = f"{URL}/api/v1/webhooks/stripe"
KEYS = {"issuer": "billing-prod", "keys": [{"kid": "a"}]}
READY = {"status": "ready", "checks": {"postgresql": "ok", "migrations": "ok", "dynamodb": "ok"}}


def found(check: str, state: str = "ok", code: str = "", detail: str = "the details") -> dict[str, str]:
    return {"check": check, "state": state, "code": code or check, "detail": detail}


def told(*findings: dict[str, str], as_of: str = "2026-11-23T12:00:00Z") -> httpx.Response:
    return ok({"as_of": as_of, "stage": "prod", "livemode": True, "checks": list(findings or [found("outbox")])})


def check(terminal: Terminal, inside: Any, *more: str, ready: Any = None, keys: Any = None) -> Done:
    """The service answers for itself, then lives, then is `ready`, then has its public `keys`."""
    replies = (inside, ok({"status": "alive"}), ready or ok(READY), keys or ok(KEYS))
    return terminal.replying(*replies).run("deploy", "check", *more)


def test_a_sound_deployment_is_0_with_a_line_for_each_check(terminal: Terminal) -> None:
    done = check(terminal, told(found("webhook endpoint")))
    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "✓ health",
        "✓ readiness",
        "✓ signing keys",
        "✓ admin key",
        "✓ webhook endpoint",
        "✓ this machine's clock",
    ]


def test_the_endpoint_is_looked_for_where_this_api_is_called(terminal: Terminal) -> None:
    check(terminal, told())
    assert terminal.asked[0].url.params["webhook_url"] == WEBHOOKS
    check(terminal, told(), "--webhook-url", "https://pay.example/api/v1/webhooks/stripe")
    assert terminal.asked[4].url.params["webhook_url"] == "https://pay.example/api/v1/webhooks/stripe"


def test_a_failure_is_1_and_says_by_which_command_it_is_mended(terminal: Terminal) -> None:
    done = check(terminal, told(found("stripe key", "failed", "stripe_key_unset", "none is stored yet")))
    assert done.exit_code == 1
    assert "✗ stripe key: failed, none is stored yet" in done.stdout
    assert "→ aws secretsmanager put-secret-value --secret-id billing-prod/stripe-api-key" in done.stdout
    assert "1 of 6 checks failed" in done.stderr


def test_what_could_not_be_looked_at_says_why_and_fails_nothing(terminal: Terminal) -> None:
    done = check(terminal, told(found("clock", "unknown", "", "Stripe did not tell the time")))
    assert done.exit_code == 0
    assert "? clock: could not be checked, Stripe did not tell the time" in done.stdout


def test_json_has_every_check_with_its_advice(terminal: Terminal) -> None:
    done = check(terminal, told(found("outbox", "failed", "outbox_late")), "--json")
    assert done.exit_code == 1
    assert done.json["passed"] is False
    late = next(one for one in done.json["checks"] if one["check"] == "outbox")
    assert (late["state"], late["code"], late["advice"]) == ("failed", "outbox_late", ADVICE["outbox_late"])
    assert next(one for one in done.json["checks"] if one["check"] == "health")["advice"] is None


def test_what_is_not_ready_is_named_part_by_part(terminal: Terminal) -> None:
    checks = {"postgresql": "ok", "migrations": "The schema is at level 3", "dynamodb": "ok"}
    done = check(terminal, told(), ready=problem(503, "not_ready", checks=checks))
    assert done.exit_code == 1
    assert "✗ readiness: failed, migrations: The schema is at level 3" in done.stdout


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (problem(401, "invalid_api_key"), f"billing bootstrap PROFILE --url {URL} --function-name billing-STAGE-admin"),
        (problem(403, "wrong_role"), "billing profile add"),
        (problem(404, "not_found"), "make deploy"),
    ],
)
def test_without_an_operators_key_only_what_is_open_is_checked(
    terminal: Terminal, answer: httpx.Response, advice: str
) -> None:
    done = check(terminal, answer)
    assert done.exit_code == 1
    assert advice in done.stdout
    assert "? the service's own checks: could not be checked" in done.stdout
    assert "✓ readiness" in done.stdout


def test_a_service_that_is_not_there_is_told_once_and_is_1(terminal: Terminal) -> None:
    done = terminal.replying(httpx.ConnectError("no")).run("deploy", "check")
    assert done.exit_code == 1
    assert "✗ health: failed" in done.stdout
    assert "billing profile list" in done.stdout


def test_a_function_that_does_not_live_is_a_failure(terminal: Terminal) -> None:
    done = terminal.replying(told(), problem(500, "internal"), ok(READY), ok(KEYS)).run("deploy", "check")
    assert "✗ health: failed, /healthz answers 500" in done.stdout


@pytest.mark.parametrize(
    ("keys", "told_so"),
    [
        (ok({"issuer": "billing-prod", "keys": []}), "→ billing signing-key rotate"),
        (problem(500, "internal"), "→ The log of billing-prod-tokens"),
        (httpx.ConnectError("no"), "→ The log of billing-prod-tokens"),
    ],
)
def test_without_a_key_to_sign_tokens_with_the_deployment_is_not_done(
    terminal: Terminal, keys: Any, told_so: str
) -> None:
    done = check(terminal, told(), keys=keys)
    assert done.exit_code == 1
    assert told_so in done.stdout


@pytest.mark.parametrize(("as_of", "code"), [("2026-11-23T11:59:30Z", 0), ("2026-11-23T12:00:31Z", 1)])
def test_this_machines_clock_is_held_against_the_services(terminal: Terminal, as_of: str, code: int) -> None:
    done = check(terminal, told(as_of=as_of))
    assert done.exit_code == code
    assert ("timedatectl" in done.stdout) == bool(code)


def test_the_key_is_in_no_line(terminal: Terminal) -> None:
    done = check(terminal, problem(401, "invalid_api_key"))
    assert KEY not in done.stdout + done.stderr


# --- advice --------------------------------------------------------------------------------------------------------


def codes_of_failures() -> set[str]:
    """The codes that the service's own checks give a failure, but for those made of a fault's name."""
    files = ["shared/billing/domain/deployment.py", "shared/billing/usecases/inspect_deployment.py"]
    calls = [node for file in files for node in ast.walk(ast.parse((ROOT / file).read_text()))]
    seconds = [one.args[1] for one in calls if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "failed"]
    return {one.value for one in seconds if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_every_failure_has_its_advice() -> None:
    faults = codes_of_failures() | {f"webhook_{fault}" for fault in ("version", "disabled", "events")}
    faults |= {"webhook_rotating", "webhook_duplicate"}  # one call gives either
    by_the_command = {"not_alive", "not_ready", "invalid_api_key", "wrong_role", "other_release", "machine_clock"}
    by_the_command |= {"signing_key_unset", "signing_keys_unreadable"}
    assert len(faults) > 20
    assert faults | by_the_command == set(ADVICE)


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_an_advice_names_commands_pages_and_targets_that_there_are(code: str) -> None:
    words = (
        advice_of(code, stage="prod", url=URL)
        .replace(",", " ")
        .replace(";", " ")
        .replace("(", " ")
        .replace(")", " ")
        .split()
    )
    known = {" ".join(call) for call, _ in commands()}
    for place, word in enumerate(words):
        if word == "billing":
            assert {words[place + 1].strip("."), " ".join(words[place + 1 : place + 3]).strip(".)?")} & known, code
        if word.startswith("docs/"):
            assert (ROOT / word).exists()
    assert "{" not in advice_of(code, stage="prod", url=URL).replace('{"api_key": "sk_…"}', "")


@pytest.mark.parametrize("code", [code for code, text in ADVICE.items() if ", alarm " in text])
def test_an_alarm_that_an_advice_names_has_its_runbook(code: str) -> None:
    alarm = ADVICE[code].partition(", alarm ")[2].split()[0].strip(":,")
    assert f"\n## Alarm: {alarm}\n" in (ROOT / "docs/operations.md").read_text()
