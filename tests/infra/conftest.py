"""Templates as they are synthesized: once for all tests here, for the CDK takes seconds to start."""

import pytest

from infra.local.deploy import TEMPLATE
from infra.stages import PROD, STAGING
from tests.support.assembly import Assembly, synthesize
from tests.support.deployed import System, read_yaml


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Production: an HTTP API, Aurora, a NAT gateway."""
    return synthesize(PROD, tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """A stage with all that production has otherwise: a REST API with its web ACL, RDS, a NAT instance."""
    other = {"front": "rest", "database": "rds", "nat": "instance", "shift": "linear"}
    return synthesize(STAGING.model_copy(update=other), tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def local() -> System:
    """The laptop's, as committed."""
    return System.of(read_yaml(TEMPLATE.read_text()))
