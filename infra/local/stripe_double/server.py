"""HTTP in front of the double: the API under /v1, the control API under /_control, the hosted pages."""

import json
import socket
import struct
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from infra.local.stripe_double import api, control_routes, pages
from infra.local.stripe_double.account import Account
from infra.local.stripe_double.api import Answer, Request
from infra.local.stripe_double.control import Control

_LARGEST_BODY = 4 * 1024 * 1024
_SHUT_DOWN_WITHIN = 5.0


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], account: Account, control: Control) -> None:
        self.account = account
        self.control = control
        self.stopping = threading.Event()
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up when they like; anything else is a fault of the double and shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop listening and hang up on everyone, also on those kept waiting by a fault."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection, thread in list(self._open.items()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was faster
            thread.join(_SHUT_DOWN_WITHIN)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: many small ones wait for each other's acknowledgements
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Silent: the control API tells what was asked."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY:
            self.close_connection = True
            self._send(Answer(413, b"{}"))
            return
        body = self.rfile.read(length).decode("utf-8", "replace")
        try:
            answer = self._route(body)
        except Exception:  # noqa: BLE001  (the border: a fault of the double's own must be seen, here and there)
            traceback.print_exc()
            answer = _own_fault()
        if answer is None:
            self._hang_up()
        else:
            self._send(answer)

    def _route(self, body: str) -> Answer | None:
        url = urlsplit(self.path)
        account, control = self.server.account, self.server.control
        if url.path.startswith("/_control/"):
            return control_routes.answer(control, self.command, url.path, body)
        if url.path.startswith(("/c/", "/p/")):
            return pages.answer(account, control, self.command, url.path, body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, url.path, body if self.command == "POST" else url.query, headers)
        return api.answer(account, request, self.server.stopping)

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _hang_up(self) -> None:
        """Reset the connection, as a network that breaks."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _own_fault() -> Answer:
    message = "The Stripe double itself failed; its standard error shows where."
    return Answer(500, json.dumps({"error": {"type": "api_error", "message": message}}).encode())
