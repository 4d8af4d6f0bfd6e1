"""`python -m infra.local run | demo | stop | status | install | invoke`: what the Makefile's targets call."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import urllib3

from billing.errors import Permanent, Refused, Transient
from infra.local.console import Terminal
from infra.local.install import Places, install
from infra.local.invoke import invoke
from infra.local.kept import Stack, holder, load_kept, load_stack
from infra.local.package import REPOSITORY
from infra.local.processes import LocalStackError
from infra.local.stack import Stopped, boot, stopped_by_signals
from infra.local.story import play

STOP_PATIENCE_SECONDS = 40


def main() -> int:
    arguments = _parse()
    terminal = Terminal()
    try:
        match arguments.command:
            case "run":
                return _run(arguments.root, terminal, story=not arguments.no_story)
            case "demo":
                _play(load_stack(arguments.root), terminal)
            case "stop":
                _stop(arguments.root, terminal)
            case "status":
                terminal.note(_addresses(arguments.root, load_stack(arguments.root)))
            case "install":
                places = Places(arguments.database_url, arguments.aws_url, arguments.stripe_url)
                _install(arguments.root, places, arguments.dependencies, terminal)
            case "invoke":
                print(invoke(load_stack(arguments.root), arguments.function, arguments.event))
    except (LocalStackError, Refused, Transient, Permanent) as error:
        terminal.trouble(str(error))
        return 1
    except urllib3.exceptions.HTTPError as error:
        terminal.trouble(f"A part of the system does not answer: {error}")
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="The whole system on this machine.")
    parser.add_argument("--root", type=Path, default=REPOSITORY / ".local", help="where its data lies")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="boot everything, play the story, stay up until Ctrl-C")
    run.add_argument("--no-story", action="store_true", help="boot only")
    commands.add_parser("demo", help="play the story against the running system")
    commands.add_parser("stop", help="stop the running system")
    commands.add_parser("status", help="print the running system's addresses")
    installation = commands.add_parser("install", help="put the service into parts that run elsewhere (compose)")
    installation.add_argument("--database-url", required=True)
    installation.add_argument("--aws-url", required=True, help="the emulator, as the functions reach it too")
    installation.add_argument("--stripe-url", required=True, help="the Stripe double, as the functions reach it too")
    installation.add_argument("--dependencies", type=Path, help="folder of packages the functions need with them")
    invocation = commands.add_parser("invoke", help="invoke a function of the running system with a sample event")
    invocation.add_argument("function", metavar="FUNCTION", help="such as checkout")
    invocation.add_argument("event", metavar="EVENT", type=Path, help="such as events/http/checkout.json")
    return parser.parse_args()


def _run(root: Path, terminal: Terminal, *, story: bool) -> int:
    with stopped_by_signals():
        try:
            terminal.heading("Starting")
            with boot(root, terminal) as running:
                if story:
                    _play(running.stack, terminal)
                terminal.note(_addresses(root, running.stack))
                terminal.note("\nRunning. Ctrl-C stops it; its data stays.")
                running.watch()
        except Stopped:
            terminal.note("\nStopped. Nothing is left running; `make run` takes up where this ended.")
    return 0


def _install(root: Path, places: Places, dependencies: Path | None, terminal: Terminal) -> None:
    root.mkdir(parents=True, exist_ok=True)
    kept = load_kept(root)
    deployed = install(root, kept, places, terminal, dependencies=dependencies)
    terminal.note(f"\nAPI          {deployed.api_url}\nProject key  {kept.project_key}\nAdmin key    {kept.admin_key}")


def _play(stack: Stack, terminal: Terminal) -> None:
    terminal.heading("The story")
    told = play(stack, terminal)
    terminal.note(f"  From paid to allowed over HTTP: {told.paid_to_allowed_ms:.0f} ms")


def _stop(root: Path, terminal: Terminal) -> None:
    pid = holder(root)
    if pid is None:
        terminal.note("Nothing is running here.")
        return
    os.kill(pid, signal.SIGTERM)  # the lock it holds proves that it is ours
    deadline = time.monotonic() + STOP_PATIENCE_SECONDS
    while holder(root) == pid:
        if time.monotonic() > deadline:
            raise LocalStackError(f"Process {pid} did not stop in {STOP_PATIENCE_SECONDS} s: kill -9 {pid} is safe.")
        time.sleep(0.05)
    terminal.note("Stopped.")


def _addresses(root: Path, stack: Stack) -> str:
    user = "user_id=ada"
    key = f"-H 'Authorization: Bearer {stack.project_key}'"
    order = (
        '{"user_id":"ada","lookup_key":"pro_monthly",'
        '"success_url":"http://localhost:3000/thanks","cancel_url":"http://localhost:3000/pricing"}'
    )
    return f"""
API          {stack.api_url}
Stripe       {stack.stripe_url}
PostgreSQL   {stack.database_url}
Project key  {stack.project_key}
Admin key    {stack.admin_key}
For scripts  {root / "stack.json"}

Try:
  curl -s {key} '{stack.api_url}/api/v1/entitlements/check?{user}&feature=export'
  curl -s {key} -H "Idempotency-Key: $(date +%s)" -d '{order}' '{stack.api_url}/api/v1/checkout'
  curl -s {key} '{stack.api_url}/api/v1/entitlements?{user}'
Operate it from this folder (docs/operations.md has a whole day of it):
  .venv/bin/billing status
  .venv/bin/billing customer list {stack.project_id}
  .venv/bin/billing metrics"""


if __name__ == "__main__":
    sys.exit(main())
