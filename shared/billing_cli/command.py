"""How a command is put together: the options that all have, examples in its help, and faults as exit codes."""

from __future__ import annotations

import inspect
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import httpx
import platformdirs
import typer
from rich.markup import escape

from billing_cli.api import TIMEOUT, Answer, Api, Body, Query
from billing_cli.faults import Fault, Unreachable
from billing_cli.profiles import LOOPBACK, chosen_target
from billing_cli.screen import Screen

P = ParamSpec("P")

ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="The environment to work on; see `billing profile`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The API's own JSON on standard output, for programs.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="KEY", help="Go on with a write whose outcome is not known: it is never done twice. Default: a new key."
    ),
]


LimitOption = Annotated[int, typer.Option(min=1, max=100, help="Rows of a page.")]
CursorOption = Annotated[str | None, typer.Option(metavar="CURSOR", help="Where the page before ended.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every page.")]

_OF_ALL = (("profile", ProfileOption, None), ("as_json", JsonOption, False))
_OF_WRITES = (("idempotency_key", KeyOption, None),)
_OF_LISTS = (("limit", LimitOption, 20), ("cursor", CursorOption, None), ("everything", AllOption, False))


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list: a page of `limit` rows after `cursor`, or everything from there on."""

    limit: int
    cursor: str | None
    everything: bool


@dataclass(frozen=True, slots=True)
class Means:
    """What a command meets outside itself. `transport` None: the network."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    profiles_file: Path = field(default_factory=lambda: Path(platformdirs.user_config_dir("billing")) / "profiles.json")
    folder: Path = field(default_factory=Path.cwd)
    transport: httpx.BaseTransport | None = None
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass
class Session:
    """One invocation: what it shows, and whose API it talks to, which is looked up when first needed."""

    means: Means
    screen: Screen
    profile: str | None
    idempotency_key: str
    paging: Paging

    @cached_property
    def api(self) -> Api:
        """Raises Misused where no profile fits."""
        target = chosen_target(self.profile, self.means.environ, self.means.profiles_file, self.means.folder)
        # A proxy of the environment is for the world outside, not for what runs on this machine.
        outside = httpx.URL(target.url).host not in LOOPBACK
        http = httpx.Client(timeout=TIMEOUT, transport=self.means.transport, trust_env=outside)
        return Api(target, http, self.means.pause, self.screen.note)

    def read(self, path: str, query: Query | None = None) -> Answer:
        with self.screen.working("Asking …"):
            return self.api.read(path, query)

    def read_text(self, path: str) -> str:
        with self.screen.working("Asking …"):
            return self.api.read_text(path)

    def write(self, method: str, path: str, body: Body, *, query: Query | None = None, part: str = "") -> Answer:
        """`part` tells the requests of one invocation apart. Raises as `Api.write`, with how to go on."""
        key = self.idempotency_key + part
        try:
            with self.screen.working("Working …"):
                return self.api.write(method, path, body, key, query)
        except Unreachable as fault:
            mend = f"{fault.mend}\n  It may be done or not. The same once more, never twice: add --idempotency-key "
            raise Unreachable(fault.what, mend + self.idempotency_key, fault.problem) from fault

    def show(self, answer: Answer, render: Callable[[Any], None]) -> None:
        """The answer as it came, or as `render` tells it to people."""
        if self.screen.as_json:
            self.screen.answer(answer.text)
        else:
            render(answer.document)


Work = Callable[Concatenate[Session, P], None]


def command(
    group: typer.Typer, name: str, *, examples: Sequence[str], writes: bool = False, lists: bool = False
) -> Callable[[Work[P]], Work[P]]:
    """Make the function a command of `group`: its parameters after the session are the command's own.

    `writes`: it takes an Idempotency-Key. `lists`: it shows a part of a list, by `session.paging`.
    """
    common = [*(_OF_WRITES if writes else ()), *(_OF_LISTS if lists else ()), *_OF_ALL]

    def register(function: Work[P]) -> Work[P]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [_parameter("ctx", typer.Context, inspect.Parameter.empty)]
        parameters += [_parameter(each.name, each.annotation, each.default) for each in own]
        parameters += [_parameter(*each) for each in common]

        work: Callable[..., None] = function

        def run(ctx: typer.Context, **given: Any) -> None:
            session = _session(ctx, {name: given.pop(name) for name, _, _ in common})
            try:
                work(session, **given)
            except Fault as fault:
                session.screen.trouble(fault)
                raise typer.Exit(fault.exit_code) from fault

        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        vars(run)["__signature__"] = inspect.Signature(parameters)
        told = "Examples:\n" + "\n".join(f"  {escape(example)}" for example in examples)
        group.command(name, help=inspect.getdoc(function), epilog=told)(run)
        return function

    return register


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _session(ctx: typer.Context, common: Mapping[str, Any]) -> Session:
    """Out of the options that its command has in common with others, here or before the command's name."""
    before = ctx.find_root().params
    screen = Screen(as_json=common["as_json"] or bool(before.get("as_json")))
    means = ctx.obj if isinstance(ctx.obj, Means) else Means()
    return Session(
        means,
        screen,
        common["profile"] or before.get("profile"),
        common.get("idempotency_key") or f"cli-{uuid.uuid4()}",
        Paging(common.get("limit", 0), common.get("cursor"), common.get("everything", False)),
    )
