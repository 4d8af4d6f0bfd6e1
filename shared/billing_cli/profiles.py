"""Profiles: the address and admin key of each environment, in one file that only its owner can read.

Which one is used: `--profile`, else BILLING_URL with BILLING_ADMIN_KEY, else BILLING_PROFILE, else the one chosen by
`billing profile use`, else the system that `make run` runs in this folder, which is called `local`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from billing_cli.api import Target
from billing_cli.faults import Misused

LOCAL = "local"
STACK_FILE = Path(".local") / "stack.json"
"""Where `make run` says what runs."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Profile:
    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Profiles:
    """The file's content; `current` is used where nothing else is said."""

    current: str | None = None
    by_name: Mapping[str, Profile] = field(default_factory=dict)


def load_profiles(path: Path) -> Profiles:
    """None yet where there is no file. Raises Misused where others may read it, or it is damaged."""
    if not path.exists():
        return Profiles()
    if path.stat().st_mode & _OTHERS:
        raise Misused(f"{path} holds keys, and others can read it.", f"Mend it by: chmod 600 '{path}'")
    document = _read(path)
    try:
        profiles = {str(name): Profile(str(one["url"]), str(one["key"])) for name, one in document["profiles"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise Misused(f"{path} is damaged.", "Remove it, then add the profiles again.") from error
    current = document.get("current")
    return Profiles(current if current in profiles else None, profiles)


def save_profiles(path: Path, profiles: Profiles) -> None:
    """Replace the file as a whole, readable by its owner alone. Raises Misused where it cannot be written."""
    entries = {name: {"url": one.url, "key": one.key} for name, one in profiles.by_name.items()}
    text = json.dumps({"current": profiles.current, "profiles": entries}, indent=2) + "\n"
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)  # a file that was there before keeps its mode otherwise
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise Misused(f"{path} cannot be written: {error.strerror}.", "See to the folder's rights.") from error


def checked_url(text: str) -> str:
    """The API's address without a slash at its end. Raises Misused: a key must not go over an open line."""
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Misused(f"{text!r} is no address of an API.", "Give it as https://host[/stage].")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise Misused(f"The key would go to {parts.hostname} unencrypted.", "Give an https:// address.")
    return text.rstrip("/")


def checked_key(text: str) -> str:
    """Raises Misused, without the text: it may be some other secret."""
    key = text.strip()
    if not key.startswith("bk_") or not key.isascii() or not key.isprintable() or " " in key:
        raise Misused("That is no key of this service.", "Give the whole key: bk_live_… or bk_test_…")
    return key


def chosen_target(wanted: str | None, environ: Mapping[str, str], path: Path, folder: Path) -> Target:
    """Raises Misused, saying how to set one up, where there is none."""
    url, key = environ.get("BILLING_URL"), environ.get("BILLING_ADMIN_KEY")
    if wanted is None and (url or key):
        if not url or not key:
            raise Misused("Of BILLING_URL and BILLING_ADMIN_KEY only one is set.", "Set both, or neither.")
        return Target("BILLING_URL", checked_url(url), checked_key(key))
    name = wanted or environ.get("BILLING_PROFILE")
    if name == LOCAL:
        return _local_target(folder)
    profiles = load_profiles(path)
    name = name or profiles.current
    if name is None:
        return _only_local(folder)
    if name not in profiles.by_name:
        known = ", ".join(sorted(profiles.by_name)) or "none yet"
        raise Misused(f"There is no profile {name!r}; there are: {known}.", f"billing profile add {name} --url URL")
    profile = profiles.by_name[name]
    return Target(name, checked_url(profile.url), profile.key)


def find_stack(folder: Path) -> Path | None:
    """The nearest system that `make run` runs, from this folder upwards."""
    places = [parent / STACK_FILE for parent in (folder, *folder.parents)]
    return next((place for place in places if place.is_file()), None)


def _only_local(folder: Path) -> Target:
    if find_stack(folder) is None:
        raise Misused(
            "No profile is chosen.",
            "billing profile add NAME --url URL asks for an admin key and keeps both. For the first key of a new "
            "deployment: billing bootstrap --help. To try it on this machine: make run.",
        )
    return _local_target(folder)


def _local_target(folder: Path) -> Target:
    found = find_stack(folder)
    if found is None:
        raise Misused(
            f"No local system runs in {folder} or above it.", "Start one by `make run`, and stay in its folder."
        )
    stack = _read(found)
    try:
        return Target(LOCAL, checked_url(stack["api_url"]), checked_key(stack["admin_key"]), "Is `make run` still up?")
    except (KeyError, AttributeError, TypeError) as error:
        raise Misused(f"{found} is damaged.", "Stop the local system by `make stop`, and start it again.") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misused(f"{path} cannot be read ({type(error).__name__}).", "Mend it, or remove it.") from error
    if not isinstance(document, dict):
        raise Misused(f"{path} is damaged.", "Remove it.")
    return document
