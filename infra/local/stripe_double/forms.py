"""Form-encoded requests with nested names: `items[0][price]=p&metadata[plan]=pro&expand[]=customer`."""

import re
from typing import Any
from urllib.parse import parse_qsl

from infra.local.stripe_double.errors import invalid

Tree = dict[str, Any]

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def decode(encoded: str) -> Tree:
    """A tree of dicts with strings as leaves; numbered and `[]` names stay dict keys ("0", "1", …).

    Which of them is a list is known to the parameter's schema only (`params.py`). StripeFault 400 if a name is
    malformed or stands for a value and for a group at once.
    """
    tree: Tree = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True, max_num_fields=10_000):
        _put(tree, _path(name), value, name)
    return tree


def _path(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise invalid(f"Invalid parameter name: {name}", param=name)
    return [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]


def _put(tree: Tree, path: list[str], value: str, name: str) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step or str(len(tree)), {})
        if not isinstance(tree, dict):
            raise invalid(f"Parameter given both as a value and as a group: {name}", param=name)
    tree[path[-1] or str(len(tree))] = value
