import time
from urllib.parse import urlsplit

import pytest

from billing.runtime.wire import IDLE, Wire
from tests.support.scripted_http import reply, scripted


@pytest.mark.parametrize(("idle", "connections"), [(IDLE - 1, 1), (IDLE, 2), (86_400, 2)])
def test_a_connection_from_before_a_long_sleep_is_not_used_again(idle: float, connections: int) -> None:
    now = [1_800_000_000.0]
    with scripted(reply(b"{}"), reply(b"{}")) as server:
        wire = Wire("127.0.0.1", urlsplit(server.url).port or 0, None, lambda: now[0])
        for _ in range(2):
            wire.post({"host": "test"}, b"", time.monotonic() + 5)
            now[0] += idle
        wire.close()
        assert server.connections == connections
