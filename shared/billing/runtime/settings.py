"""A function's settings: one NamedTuple, filled from the environment, faults reported all at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

SettingsT = TypeVar("SettingsT", bound=NamedTuple)


class BadSettings(Exception):
    """The environment lacks or garbles variables; the message names every one of them."""


def load(cls: type[SettingsT], environ: Mapping[str, str] = os.environ) -> SettingsT:
    """Fill `cls` from `environ`: field `table_name` from `TABLE_NAME`.

    Fields are `str`, `str | None`, `int` or `bool` (`true`/`false`). A field without default is required, and an empty
    string counts as missing; an optional field takes its default (None for `str | None`). Raises BadSettings.
    """
    values: dict[str, Any] = dict(cls._field_defaults)
    faults: list[str] = []
    for field, kind in get_type_hints(cls).items():
        name = field.upper()
        text = environ.get(name, "")
        if text:
            try:
                values[field] = _parse(kind, text)
            except ValueError as fault:
                faults.append(f"{name} {fault}")
        elif field not in values and kind == str | None:
            values[field] = None
        elif field not in values:
            faults.append(f"{name} is missing or empty")
    if faults:
        raise BadSettings(f"{cls.__name__}: set these environment variables: " + "; ".join(faults))
    fill = cast("Callable[..., SettingsT]", cls)
    return fill(**values)


def _parse(kind: Any, text: str) -> Any:
    if kind in (str, str | None):
        return text
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise ValueError("must be a whole number") from None
    raise TypeError(f"settings cannot hold {kind}: use str, str | None, int or bool")
