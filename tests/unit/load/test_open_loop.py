import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import repeat

from tests.load.asks import Ask
from tests.load.open_loop import play

STALL = 0.4
ASK = Ask("anything", "GET", "/")


class Stalling(BaseHTTPRequestHandler):
    """One request at a time, the first of them slowly."""

    stalled = False

    def do_GET(self) -> None:
        if not Stalling.stalled:
            Stalling.stalled = True
            time.sleep(STALL)  # what is measured
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  the parent's name
        pass


@contextmanager
def stalling_server() -> Iterator[str]:
    Stalling.stalled = False
    with HTTPServer(("127.0.0.1", 0), Stalling) as server:
        server.request_queue_size = 64
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_stall_counts_for_all_whom_it_made_wait() -> None:
    with stalling_server() as url:
        line = play("stalled", url, "no-key", repeat(ASK), rate=50, seconds=STALL)
    assert line.requests > 8
    assert line.longest >= STALL * 1000 * 0.9
    assert line.p50 > STALL * 1000 / 4  # a closed loop would have seen one slow answer, and a median of a millisecond


def test_wrong_answers_are_counted() -> None:
    with stalling_server() as url:
        line = play("wrong", url, "no-key", repeat(Ask("made", "GET", "/", status=201)), rate=50, seconds=0.1)
    assert line.failures == line.requests > 0
