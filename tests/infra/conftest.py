"""Templates as they are synthesized: once for all tests here, for the CDK takes seconds to start."""

import pytest

from infra.local.deploy import TEMPLATE
from tests.support.deployed import System, read_yaml


@pytest.fixture(scope="session")
def local() -> System:
    """The laptop's, as committed."""
    return System.of(read_yaml(TEMPLATE.read_text()))
