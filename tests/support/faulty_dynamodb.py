"""A DynamoDB API that misbehaves on order: a proxy before the real one that delays, throttles, leaves keys
unprocessed, applies and then loses the answer, or serves old values to reads that are not consistent.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal["throttle", "broken", "lost", "unprocessed", "half_unprocessed", "slow"]


@dataclass
class FaultyDynamoDB:
    """`faults` are used up one a call; `every` applies to each call while it is set, `refused` to those operations.

    `before` is told of each operation that goes on to the real API.
    """

    upstream: str
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    every: Fault | None = None
    refused: set[str] = field(default_factory=set)
    before: Callable[[str], object] = lambda _: None
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    previous: dict[str, Any] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    def next_fault(self, operation: str) -> Fault | None:
        if operation in self.refused:
            return "broken"
        return self.faults.pop(0) if self.faults else self.every

    def forward(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        address = urlsplit(self.upstream)
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        connection = HTTPConnection(address.hostname or "", address.port or 80, timeout=10)
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def run_faulty_dynamodb(upstream: str) -> Iterator[FaultyDynamoDB]:
    faulty = FaultyDynamoDB(upstream)

    class Handler(_Handler):
        proxy = faulty

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    faulty.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield faulty
    finally:
        faulty.released.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyDynamoDB
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        operation = self.headers["x-amz-target"].partition(".")[2]
        request = json.loads(body)
        self.proxy.calls.append((operation, request))
        fault = self.proxy.next_fault(operation)
        if fault == "slow":
            self.proxy.released.wait(2)
        if fault == "throttle":
            self._answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slower"})
        elif fault == "broken":
            self._answer(500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": "sorry"})
        elif fault == "unprocessed":
            self._answer(200, {"Responses": {}, "UnprocessedKeys": request["RequestItems"]})
        elif fault == "half_unprocessed":
            self._answer(200, self._half(request))
        else:
            self.proxy.before(operation)
            status, answer = self._ask(operation, request)
            if fault == "lost":
                self.close_connection = True
                return
            self._answer(status, answer)

    def _ask(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if operation == "PutItem":
            self._remember(request)
        status, raw = self.proxy.forward(dict(self.headers), json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(raw)
        for table, asked in request.get("RequestItems", {}).items():
            if not asked.get("ConsistentRead"):
                found = answer["Responses"][table]
                answer["Responses"][table] = [self.proxy.previous.get(item["pk"]["S"], item) for item in found]
        return status, answer

    def _remember(self, request: dict[str, Any]) -> None:
        key = {"pk": request["Item"]["pk"]}
        question = {"TableName": request["TableName"], "Key": key, "ConsistentRead": True}
        headers = {**dict(self.headers), "x-amz-target": "DynamoDB_20120810.GetItem"}
        _, raw = self.proxy.forward(headers, json.dumps(question).encode())
        before = json.loads(raw).get("Item")
        if before is not None:
            self.proxy.previous[key["pk"]["S"]] = before

    def _half(self, request: dict[str, Any]) -> dict[str, Any]:
        """The first key is answered, the others are left for later."""
        ((table, asked),) = request["RequestItems"].items()
        first = {table: {**asked, "Keys": asked["Keys"][:1]}}
        rest = {table: {**asked, "Keys": asked["Keys"][1:]}}
        _, answer = self._ask("BatchGetItem", {**request, "RequestItems": first})
        return {**answer, "UnprocessedKeys": rest if rest[table]["Keys"] else {}}

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        try:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client's deadline passed: that is what some of these tests are about

    def log_message(self, *_args: object) -> None:
        """Quiet: the tests look at `calls`."""
