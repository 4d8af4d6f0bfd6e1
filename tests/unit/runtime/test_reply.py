"""Answers however they come: whole or in pieces, with a length, in chunks, or to the connection's end."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from billing.runtime.reply import BadReply, Reply, read_reply

PLAIN = b"HTTP/1.1 200 OK\r\nServer: Server\r\ncontent-LENGTH: 7\r\nx-amzn-RequestId: A1\r\n\r\n" + b'{"a":1}'
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
TO_THE_END = b'HTTP/1.1 200 OK\r\nServer: Server\r\n\r\n{"a":1}'
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN
OLDER = b'HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'
WITHOUT_REASON = PLAIN.replace(b" OK", b"")


def pieces(answer: bytes, size: int) -> Callable[[], bytes]:
    """So many bytes at a time, then the connection's end."""
    parts = iter([answer[start : start + size] for start in range(0, len(answer), size)])
    return lambda: next(parts, b"")


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, TO_THE_END, INTERIM, OLDER, WITHOUT_REASON])
def test_an_answer_is_the_same_however_it_is_framed_and_cut(answer: bytes, size: int) -> None:
    assert read_reply(pieces(answer, size))[0] == Reply(200, b'{"a":1}')


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (PLAIN, True),
        (CHUNKED, True),
        (PLAIN.replace(b"Server: Server", b"Connection: keep-alive"), True),
        (PLAIN.replace(b"Server: Server", b"Connection: Close"), False),
        (TO_THE_END, False),
        (PLAIN + b"more than was said", False),
    ],
)
def test_a_connection_is_used_again_only_when_nothing_is_left_on_it(answer: bytes, again: bool) -> None:
    assert read_reply(pieces(answer, 4096)) == (Reply(200, b'{"a":1}'), again)


def test_a_status_without_a_body_has_none_whatever_its_length_says() -> None:
    assert read_reply(pieces(b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 4096))[0] == Reply(204, b"")


def test_a_connection_that_ends_before_any_byte_is_told_apart() -> None:
    with pytest.raises(ConnectionResetError):
        read_reply(pieces(b"", 1))


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN[:-1],
        PLAIN[:40],
        CHUNKED[:-9],
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 what? \r\nContent-Length: 7\r\n\r\n",
    ],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes) -> None:
    with pytest.raises(BadReply):
        read_reply(pieces(answer, 4096))


def test_an_endless_head_is_given_up() -> None:
    with pytest.raises(BadReply):
        read_reply(lambda: b"HTTP/1.1 200 OK\r\n" + b"x-more: and more\r\n" * 4096)


def test_a_plain_answer_needs_no_http_client() -> None:
    program = (
        "import json, sys; from billing.runtime.reply import read_reply\n"
        f"parts = iter([{PLAIN!r}]); read_reply(lambda: next(parts))\n"
        "print(json.dumps('http.client' in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(ran.stdout) is False
