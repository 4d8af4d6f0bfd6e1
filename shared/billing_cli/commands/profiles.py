"""`billing profile`: the environments this machine's operator works on."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import Annotated

import typer

from billing_cli.command import Session, command
from billing_cli.faults import Misused
from billing_cli.profiles import (
    LOCAL,
    Profile,
    Profiles,
    checked_key,
    checked_url,
    find_stack,
    load_profiles,
    save_profiles,
)

GROUP = typer.Typer(no_args_is_help=True, help="Environments: where each API is, and your admin key to it.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What you call the environment.")]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@command(
    GROUP,
    "add",
    examples=[
        "billing profile add production --url https://billing.example",
        "billing profile add ci --url https://billing.example --key-stdin < admin.key",
    ],
)
def add(
    session: Session,
    name: NameArgument,
    *,
    url: Annotated[str, typer.Option(help="The API's address, as far as /api/v1.", show_default=False)],
    key_stdin: Annotated[bool, typer.Option("--key-stdin", help="Read the admin key from standard input.")] = False,
) -> None:
    """Keep an environment's address and admin key; asks for the key. Replaces one of the same name.

    The first one is used from then on. The key is never an argument: those show in process lists and histories.
    """
    kept = prepared(session, name)
    address = checked_url(url)
    key = checked_key(sys.stdin.readline() if key_stdin else _typed_key())
    keep(session, kept, name, Profile(address, key))
    session.screen.note(f"Kept {name} in {session.means.profiles_file}. Next: billing status --profile {name}")


@command(GROUP, "list", examples=["billing profile list"])
def list_profiles(session: Session) -> None:
    """The environments, without their keys; * marks the one that is used if nothing else is said."""
    kept = load_profiles(session.means.profiles_file)
    rows = [
        {"name": name, "url": profile.url, "current": name == kept.current}
        for name, profile in sorted(kept.by_name.items())
    ]
    if find_stack(session.means.folder) is not None:
        rows.append({"name": LOCAL, "url": "what `make run` runs here", "current": kept.current is None})
    if session.screen.as_json:
        session.screen.answer(json.dumps(rows))
        return
    session.screen.table(rows, {"": lambda row: "*" if row["current"] else "", "NAME": "name", "URL": "url"})


@command(GROUP, "use", examples=["billing profile use production"])
def use(session: Session, name: NameArgument) -> None:
    """Work on this environment wherever nothing else is said."""
    kept = _known(session, name)
    save_profiles(session.means.profiles_file, replace(kept, current=name))
    session.screen.note(f"{name} is used from now on.")


@command(GROUP, "remove", examples=["billing profile remove staging"])
def remove(session: Session, name: NameArgument) -> None:
    """Forget an environment and its key. The key itself lives on: `billing key revoke` ends it."""
    kept = _known(session, name)
    rest = {other: profile for other, profile in kept.by_name.items() if other != name}
    save_profiles(session.means.profiles_file, Profiles(None if kept.current == name else kept.current, rest))
    session.screen.note(f"Forgot {name}.")


def prepared(session: Session, name: str) -> Profiles:
    """The profiles, once it is sure that one of this name can be added. Raises Misused."""
    if name == LOCAL or not _NAME.fullmatch(name):
        raise Misused(
            f"A profile cannot be called {name!r}.",
            f"Small letters, digits, dots and dashes; `{LOCAL}` is what `make run` runs.",
        )
    kept = load_profiles(session.means.profiles_file)
    save_profiles(session.means.profiles_file, kept)
    return kept


def keep(session: Session, kept: Profiles, name: str, profile: Profile) -> None:
    save_profiles(session.means.profiles_file, Profiles(kept.current or name, {**kept.by_name, name: profile}))


def _known(session: Session, name: str) -> Profiles:
    kept = load_profiles(session.means.profiles_file)
    if name not in kept.by_name:
        raise Misused(f"There is no profile {name!r}.", "`billing profile list` shows them.")
    return kept


def _typed_key() -> str:
    if not sys.stdin.isatty():
        raise Misused("Nobody is there to ask for the key.", "Add --key-stdin, and send the key to standard input.")
    return str(typer.prompt("Admin key (not shown)", hide_input=True, err=True))
