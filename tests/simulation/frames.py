"""Where a message ends on the wire: PostgreSQL's protocol and HTTP/1.1, as far as the gate must know them."""

import json
import re
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *[^.\r]+\.(\w+)", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer of PostgreSQL: is its transaction over, the SQLSTATE of its error, the backend's number."""

    idle: bool
    fault: str | None
    backend: int | None


def postgres_request(data: bytes) -> str | None:
    """The statement of a request that is complete (it ends in Sync, Query or Flush); None while more is to come.

    "(goodbye)" for Terminate, which nobody answers.
    """
    statement, last = "", b""
    for kind, body in _messages(data):
        last = kind
        if kind == b"Q":
            statement = body.rstrip(b"\0").decode()
        elif kind == b"P":
            statement = body.split(b"\0")[1].decode()
    if last == b"X":
        return "(goodbye)"
    return _SPACE.sub(" ", statement).strip() if last in (b"S", b"Q", b"H") else None


def postgres_reply(data: bytes) -> Reply | None:
    """None until ReadyForQuery, the last message of every answer (and of the greeting)."""
    fault, backend = None, None
    for kind, body in _messages(data):
        if kind == b"E":
            fault = next((field[1:].decode() for field in body.split(b"\0") if field[:1] == b"C"), "")
        elif kind == b"K":
            backend = int.from_bytes(body[:4], "big")
        elif kind == b"Z":
            return Reply(body == b"I", fault, backend)
    return None


def postgres_answered(request: bytes, reply: bytes) -> bool:
    """Whether all that the request asks for is there. Of one that ends in Flush, that is a result for each Execute, or
    an error: ReadyForQuery comes with the Sync after it.
    """
    asked = [kind for kind, _ in _messages(request)]
    if asked[-1:] != [b"H"]:
        return postgres_reply(reply) is not None
    told = [kind for kind, _ in _messages(reply)]
    return b"E" in told or told.count(b"C") == asked.count(b"E")


def _messages(data: bytes) -> list[tuple[bytes, bytes]]:
    """The whole messages, (type, body), at the beginning of the data; nothing if a part of one follows."""
    found, place = [], 0
    while place + 5 <= len(data):
        length = int.from_bytes(data[place + 1 : place + 5], "big")
        if place + 1 + length > len(data):
            return []
        found.append((data[place : place + 1], data[place + 5 : place + 1 + length]))
        place += 1 + length
    return found if place == len(data) else []


def http_complete(data: bytes) -> bool:
    """Whether a request or an answer is all there."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    if _CHUNKED.search(head):
        return body.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(head)
    return len(body) >= (int(length.group(1)) if length else 0)


def http_label(data: bytes) -> str:
    """What a request asks for: the AWS operation with the keys it concerns, else method and path."""
    target = _TARGET.search(data.partition(b"\r\n\r\n")[0])
    if target is None:
        return data.split(b" HTTP/1.1", 1)[0].decode()
    operation = target.group(1).decode()
    body = json.loads(data.partition(b"\r\n\r\n")[2])
    if operation == "PutItem":
        return f"PutItem {_short(body['Item']['pk']['S'])} v{body['Item']['v']['N']}"
    if operation == "UpdateItem":
        return f"UpdateItem {_short(body['Key']['pk']['S'])}"
    if operation == "BatchGetItem":
        keys = [_short(key["pk"]["S"]) for asked in body["RequestItems"].values() for key in asked["Keys"]]
        return "BatchGetItem " + " ".join(keys)
    return operation


def _short(pk: str) -> str:
    return pk[:8] if pk.startswith("K#") else pk


def http_body(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


def http_answer(status: int, document: object) -> bytes:
    """An answer the gate makes up itself: an outage, or a part that needs no server."""
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} Made up\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
