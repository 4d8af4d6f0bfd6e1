"""The system as `make run` boots it, once for all end-to-end tests."""

from collections.abc import Iterator

import pytest
import urllib3

from infra.local.console import Terminal
from infra.local.kept import Stack
from infra.local.stack import boot
from infra.local.story import App
from tests.support.postgres import temporary_directory


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with temporary_directory("billing-e2e-") as directory, boot(directory / ".local", Terminal()) as running:
        yield running.stack


@pytest.fixture
def app(stack: Stack) -> Iterator[App]:
    with urllib3.PoolManager(maxsize=50, timeout=urllib3.Timeout(90), retries=False) as http:
        yield App(stack, http)
