"""A function's settings: one frozen dataclass, filled from the environment, faults reported all at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SettingsT = TypeVar("SettingsT", bound="DataclassInstance")


class BadSettings(Exception):
    """The environment lacks or garbles variables; the message names every one of them."""


def load(cls: type[SettingsT], environ: Mapping[str, str] = os.environ) -> SettingsT:
    """Fill `cls` from `environ`: field `table_name` from `TABLE_NAME`.

    Fields are `str`, `str | None`, `int` or `bool` (`true`/`false`). A field without default is required, and an empty
    string counts as missing; an optional field takes its default (None for `str | None`). Raises BadSettings.
    """
    types = get_type_hints(cls)
    values: dict[str, Any] = {}
    faults: list[str] = []
    for field in fields(cls):
        name = field.name.upper()
        text = environ.get(name, "")
        if text:
            try:
                values[field.name] = _parse(types[field.name], text)
            except ValueError as fault:
                faults.append(f"{name} {fault}")
        elif field.default is MISSING:
            _fill_absent(field, types[field.name], name, values, faults)
    if faults:
        raise BadSettings(f"{cls.__name__}: set these environment variables: " + "; ".join(faults))
    return cls(**values)


def _fill_absent(field: Field[Any], kind: Any, name: str, values: dict[str, Any], faults: list[str]) -> None:
    if kind == str | None:
        values[field.name] = None
    else:
        faults.append(f"{name} is missing or empty")


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
