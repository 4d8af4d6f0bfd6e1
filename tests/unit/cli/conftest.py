from pathlib import Path

import pytest

from tests.unit.cli.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """Of an operator whose environment names the API and holds an admin key."""
    return Terminal(tmp_path)
