"""The system once for all end-to-end tests: as `make run` boots it, or with FRONT=http|rest as the CDK deploys it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import urllib3

from infra.fleet import PREFIX
from infra.local.console import Terminal
from infra.local.emulated import Synthesized, boot_emulated
from infra.local.kept import Stack
from infra.local.package import REPOSITORY
from infra.local.stack import boot
from infra.local.story import App
from infra.stages import STAGING
from tests.support.postgres import temporary_directory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back on all tests comes after them."""
    items.sort(key=lambda item: (item.path.name == "test_seldom_paths.py") + 2 * (item.path.name == "test_roles.py"))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with temporary_directory("billing-e2e-") as directory, booted(directory, os.environ.get("FRONT")) as stack:
        yield stack


def booted(directory: Path, front: str | None) -> AbstractContextManager[Stack]:
    if front is None:
        return as_on_a_laptop(directory)
    return boot_emulated(directory / "emulated", synthesized(directory / "assembly", front), Terminal())


@contextmanager
def as_on_a_laptop(directory: Path) -> Iterator[Stack]:
    with boot(directory / ".local", Terminal()) as running:
        yield running.stack


def synthesized(folder: Path, front: str) -> Synthesized:
    """Staging's stacks, by the very program that `cdk deploy` runs."""
    subprocess.run(
        [sys.executable, "-m", "infra.app", "-c", f"stage={STAGING.name}", "-c", f"front={front}"],
        cwd=REPOSITORY,
        env={**os.environ, "CDK_OUTDIR": str(folder)},
        check=True,
    )
    return Synthesized(folder, f"{PREFIX}-{STAGING.name}")


@pytest.fixture
def app(stack: Stack) -> Iterator[App]:
    with urllib3.PoolManager(maxsize=50, timeout=urllib3.Timeout(90), retries=False) as http:
        yield App(stack, http)
