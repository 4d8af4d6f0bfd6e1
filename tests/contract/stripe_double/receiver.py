"""A webhook receiver for tests: checks each signature with Stripe's SDK and each event by its schema."""

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe

from infra.local.stripe_double.strictness import complaints


class Receiver:
    """Collects events. `answers` are the statuses of the next requests; 200 when it is empty."""

    def __init__(self) -> None:
        self.secret = ""
        self.events: list[Any] = []
        self.signatures: list[str] = []
        self.complaints: list[str] = []
        self.answers: deque[int] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body: bytes, signature: str) -> int:
        self.signatures.append(signature)
        try:
            stripe.Webhook.construct_event(body, signature, self.secret)
        except stripe.SignatureVerificationError as error:
            self.complaints.append(str(error))
            return 400
        event = json.loads(body)
        self.complaints += complaints(event)
        status = self.answers.popleft() if self.answers else 200
        if status == 200:
            self.events.append(event)
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver._take(body, self.headers["Stripe-Signature"]))
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        return Handler
