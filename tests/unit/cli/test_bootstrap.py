"""The first admin key, through boto3 against a server that plays Lambda."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.terminal import KEY, Done, Terminal

AWS: dict[str, str | None] = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_PROFILE": None,
    "AWS_CONFIG_FILE": "/nonexistent",
}
FUNCTION = ("--url", "https://billing.example", "--name", "ann", "--function-name", "billing-admin")


@contextmanager
def lambda_that_answers(document: Any, status: int = 200, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """Its address, and the payloads that it got."""
    payloads: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payloads.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", payloads
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, environ={})


def bootstrap(terminal: Terminal, url: str, name: str = "production") -> Done:
    options = (*FUNCTION, "--region", "eu-central-1", "--endpoint-url", url)
    return terminal.run("bootstrap", name, *options, environ=AWS)


def test_the_key_goes_into_the_profile_and_is_shown_nowhere(terminal: Terminal) -> None:
    with lambda_that_answers({"id": "key_1", "key": KEY}) as (url, payloads):
        done = bootstrap(terminal, url)
    assert done.exit_code == 0, done.stderr
    assert payloads == [{"bootstrap": {"name": "ann"}}]
    assert KEY not in done.stdout + done.stderr
    kept = json.loads(terminal.profiles_file.read_text())
    assert kept == {
        "current": "production",
        "profiles": {"production": {"url": "https://billing.example", "key": KEY}},
    }


def test_while_an_admin_key_lives_it_is_refused(terminal: Terminal) -> None:
    with lambda_that_answers({"error": "admin_key_exists", "detail": "an admin key lives"}) as (url, _):
        done = bootstrap(terminal, url)
    assert done.exit_code == 1
    assert "billing key create --admin" in done.stderr
    assert "production" not in terminal.profiles_file.read_text()


def test_a_function_that_fails_is_3(terminal: Terminal) -> None:
    with lambda_that_answers({"errorMessage": "x"}, X_Amz_Function_Error="Unhandled") as (url, _):
        assert bootstrap(terminal, url).exit_code == 3


def test_what_aws_refuses_is_told(terminal: Terminal) -> None:
    refused = {"Message": "not authorized", "__type": "AccessDeniedException"}
    with lambda_that_answers(refused, 403) as (url, _):
        done = bootstrap(terminal, url)
    assert done.exit_code == 2
    assert "AWS refused" in done.stderr


def test_an_aws_that_is_not_there_is_3(terminal: Terminal) -> None:
    with lambda_that_answers({}) as (url, _):
        gone = url
    assert bootstrap(terminal, gone).exit_code == 3


def test_a_profile_that_cannot_be_kept_makes_no_key(terminal: Terminal) -> None:
    with lambda_that_answers({"id": "key_1", "key": KEY}) as (url, payloads):
        terminal.profiles_file.parent.write_text("a file in its place")
        assert bootstrap(terminal, url).exit_code == 2
        assert payloads == []
