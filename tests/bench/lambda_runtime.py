"""Lambda's Runtime API on loopback: hands the same event to awslambdaric, the runtime AWS runs handlers in, and asks
the function's process itself for its CPU time.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.bench.canned import whole

HOW_LONG = {"bench": "cpu"}
"""The event that the wrapper answers itself, with its process's CPU time in seconds."""


class Runtime:
    """One function's process, kept waiting for its next event."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._count = 0
        self._request()  # its first `next`

    def invoke(self, event: bytes) -> bytes:
        """The handler's answer. Raises RuntimeError where it failed."""
        self._count += 1
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(event)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: 00000000-0000-0000-0000-{self._count:012d}\r\n"
            "Lambda-Runtime-Deadline-Ms: 1999999999999\r\n"
            "Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n\r\n"
        )
        self._connection.sendall(head.encode() + event)
        line, answer = self._request()
        if not line.endswith("/response"):
            raise RuntimeError(f"the function answered {line}: {answer!r}")
        self._connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        self._request()  # its next `next`
        return answer

    def cpu(self) -> float:
        """Seconds the process has computed so far."""
        return float(json.loads(self.invoke(json.dumps(HOW_LONG).encode())))

    def _request(self) -> tuple[str, bytes]:
        data = b""
        while not whole(data):
            more = self._connection.recv(65_536)
            if not more:
                raise RuntimeError("the function's process has ended: see its output")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        return head.split(b" ")[1].decode(), body


@contextmanager
def run_function(handler: str, environ: Mapping[str, str]) -> Iterator[Runtime]:
    """The function of this handler string (`functions.entitlements.handler.lambda_handler`), its log thrown away."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "tests.bench.inside.lambda_handler"],
            env={
                **os.environ,
                **environ,
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
                "AWS_LAMBDA_FUNCTION_NAME": "bench",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                "BENCH_HANDLER": handler,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                yield Runtime(connection)
        finally:
            process.kill()
            process.wait()


def cpu_of(runtime: Runtime, event: Mapping[str, Any], calls: int) -> float:
    """Microseconds of CPU that one of so many invocations took."""
    sent = json.dumps(event).encode()
    before = runtime.cpu()
    for _ in range(calls):
        answer = json.loads(runtime.invoke(sent))
        if answer["statusCode"] != 200:
            raise RuntimeError(f"the function answered {answer}")
    return (runtime.cpu() - before) / calls * 1e6
