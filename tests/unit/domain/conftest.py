import time
from collections.abc import Iterator

import pytest


@pytest.fixture
def machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time zone is nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "UTC-09:00")  # POSIX counts westwards
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
