"""`make docs`: docs/openapi.json, from the operations of all functions."""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType

from billing.http.openapi import Json, Noun, document
from functions.admin import handler as admin
from functions.checkout import operations as checkout
from functions.entitlements import operations as entitlements
from functions.health import operations as health
from functions.portal import operations as portal
from functions.tokens import operations as tokens
from functions.webhooks import operations as webhooks

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"

_FUNCTIONS = {
    "checkout": checkout,
    "portal": portal,
    "entitlements": entitlements,
    "tokens": tokens,
    "webhooks": webhooks,
    "health": health,
}


def contract() -> Json:
    """The contract of the whole API, as it is in the code."""
    return document(tuple(nouns()))


def nouns() -> Iterator[Noun]:
    """A project's routes by function, then the operators' by module, in the order of their tables."""
    for name, module in _FUNCTIONS.items():
        yield Noun(name, _purpose(module), module.OPERATIONS)
    routes = sorted(admin.ROUTES, key=lambda route: _places()[route[1].__module__])
    for name, group in groupby(routes, lambda route: route[1].__module__):
        yield Noun(name.rpartition(".")[2], _purpose(sys.modules[name]), [operation for operation, _ in group])


def written(document: Json) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _places() -> dict[str, int]:
    """Where each module's first route stands."""
    modules: Sequence[str] = [respond.__module__ for _, respond in admin.ROUTES]
    return {name: modules.index(name) for name in modules}


def _purpose(module: ModuleType) -> str:
    """A module's docstring, its first paragraph on one line."""
    return " ".join((module.__doc__ or "").strip().partition("\n\n")[0].split())


if __name__ == "__main__":
    DOCUMENT.write_text(written(contract()))
