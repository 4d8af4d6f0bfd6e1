"""The command, run in this process against an API that answers what the test says."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from billing_cli.command import Means
from billing_cli.main import APP

URL = "https://billing.example"
KEY = "bk_test_of_an_operator"

Reply = httpx.Response | Exception


@dataclass(frozen=True)
class Done:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def ok(document: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=document)


def page(*rows: Any, cursor: str | None = None) -> httpx.Response:
    return ok({"data": list(rows), "has_more": cursor is not None, "next_cursor": cursor})


def problem(status: int, code: str, **members: Any) -> httpx.Response:
    document = {"title": "What went wrong", "detail": "The details.", "request_id": "req-7", "retryable": False}
    headers = members.pop("headers", None)
    return httpx.Response(status, json={**document, "code": code, "status": status, **members}, headers=headers)


@dataclass
class Terminal:
    """`asked` are the requests so far, `pauses` the seconds waited between them."""

    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: {"BILLING_URL": URL, "BILLING_ADMIN_KEY": KEY})
    replies: list[Reply] = field(default_factory=list)
    asked: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    now: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)

    @property
    def profiles_file(self) -> Path:
        return self.folder / "config" / "profiles.json"

    def replying(self, *replies: Reply) -> "Terminal":
        """What is answered next, in order; the last one again and again."""
        self.replies = list(replies)
        return self

    def run(self, *arguments: str, typed: str = "", environ: dict[str, str | None] | None = None) -> Done:
        means = Means(
            environ=self.environ,
            profiles_file=self.profiles_file,
            folder=self.folder,
            transport=httpx.MockTransport(self._reply),
            pause=self.pauses.append,
            now=lambda: self.now,
        )
        result = CliRunner().invoke(APP, list(arguments), obj=means, input=typed, env=environ)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    def sent(self, place: int = -1) -> Any:
        """The JSON body of a request."""
        return json.loads(self.asked[place].content)

    def keys(self) -> list[str | None]:
        return [request.headers.get("Idempotency-Key") for request in self.asked]

    def _reply(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


def commands(group: Any = APP, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Callable[..., Any]]]:
    """Every command by the words that call it."""
    for command in group.registered_commands:
        yield (*path, command.name), command.callback
    for inner in group.registered_groups:
        yield from commands(inner.typer_instance, (*path, inner.name) if inner.name else path)
