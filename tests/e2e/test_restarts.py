"""Ctrl-C, kill -9 and a second start: no orphan process, nothing lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from infra.local.browser import open_page, press
from infra.local.kept import Stack, load_stack
from infra.local.package import REPOSITORY
from infra.local.processes import LocalStackError
from infra.local.seed import APP_URL
from infra.local.story import App, until
from tests.support.postgres import temporary_directory
from tests.support.processes import command_of, descendants, wait_for_end

START_SECONDS = 90
USER = "grace"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with temporary_directory("billing-restart-") as directory:
        yield directory / ".local"


def command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "infra.local", "--root", str(root), *arguments]


@contextmanager
def started(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in a process group of its own, up and ready; killed at the end if it still lives."""
    with subprocess.Popen(
        command(root, "run", "--no-story"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_until_up(root, process)
            yield process
        finally:
            process.kill()


def wait_until_up(root: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            load_stack(root)
        except LocalStackError:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def app(root: Path) -> App:
    return App(load_stack(root), urllib3.PoolManager(timeout=urllib3.Timeout(60), retries=False))


def buy(root: Path) -> None:
    order = {"user_id": USER, "lookup_key": "pro_yearly", "success_url": APP_URL, "cancel_url": APP_URL}
    press(open_page(app(root).must("POST", "/api/v1/checkout", order)["url"]), "Pay")


def lasting(stack: Stack) -> tuple[str, ...]:
    return (stack.project_key, stack.admin_key, stack.project_id, stack.webhook_secret, stack.api_url, stack.stripe_url)


def test_a_killed_run_leaves_no_process_and_the_next_one_has_what_was_paid_for(root: Path) -> None:
    with started(root) as process:
        before = load_stack(root)
        buy(root)
        family = descendants(process.pid)  # no wait for the webhook: it may be anywhere on its way
        process.send_signal(signal.SIGKILL)
        wait_for_end(family)
    with started(root) as process:
        assert lasting(load_stack(root)) == lasting(before)
        until(lambda: app(root).check(USER), lambda found: bool(found["allowed"]))


def test_ctrl_c_stops_every_process_and_the_next_run_goes_on(root: Path) -> None:
    with started(root) as process:
        family = descendants(process.pid)
        assert len(family) > 6
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        output, _ = process.communicate(timeout=60)
        wait_for_end(family)
    assert process.returncode == 0, output
    assert "Nothing is left running" in output
    assert not (root / "stack.json").exists()
    with started(root):
        assert app(root).check(USER)["allowed"]


@pytest.mark.parametrize("part", ["postgres -D", "-m ministack", "-m infra.local.stripe_double"])
def test_when_a_part_is_killed_the_run_says_so_and_ends_altogether(root: Path, part: str) -> None:
    with started(root) as process:
        family = descendants(process.pid)
        (victim,) = [pid for pid in family if part in command_of(pid) and "guard.py" not in command_of(pid)]
        os.kill(victim, signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        wait_for_end(family)
    assert process.returncode == 1
    assert "has died" in output


def test_a_second_run_is_refused_and_stop_ends_the_first(root: Path) -> None:
    with started(root) as process:
        second = subprocess.run(command(root, "run"), cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"already runs here (process {process.pid})" in second.stdout
        family = descendants(process.pid)
        subprocess.run(command(root, "stop"), cwd=REPOSITORY, capture_output=True, check=True)
        process.communicate(timeout=10)
        wait_for_end(family)
    assert process.returncode == 0


def test_demo_without_a_run_says_what_to_do(root: Path) -> None:
    demo = subprocess.run(command(root, "demo"), cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert demo.returncode == 1
    assert "make run" in demo.stdout
