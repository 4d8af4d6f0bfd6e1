"""Files that operators write: a catalog as it is, lists of grants as rows."""

from __future__ import annotations

import csv
import io
import sys
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from billing_cli.api import Written
from billing_cli.faults import Misused
from billing_cli.values import feature_value

STDIN = "-"

_MEDIA_TYPES = {".json": "application/json"}
_NUMBERS = ("priority",)
_FLAGS = ("denial",)


def read_text(name: str) -> str:
    """`-` is standard input. Raises Misused."""
    try:
        return sys.stdin.read() if name == STDIN else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"{name} cannot be read ({type(error).__name__}).", "Give a readable file in UTF-8.") from error


def catalog_file(name: str) -> Written:
    """YAML unless it is called .json; the API reads both, and tells what is wrong by line or place."""
    return Written(read_text(name).encode(), _MEDIA_TYPES.get(Path(name).suffix.lower(), "application/yaml"))


def rows_file(name: str) -> list[dict[str, Any]]:
    """The rows of a CSV file with a heading, else of a YAML or JSON list. Raises Misused."""
    text = read_text(name)
    rows = _csv(name, text) if name.lower().endswith(".csv") else _yaml(name, text)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Misused(f"{name} is no list of rows.", "Give a list of mappings, or CSV with a heading line.")
    return [{str(member): _plain(value) for member, value in row.items()} for row in rows]


def _csv(name: str, text: str) -> list[dict[str, Any]]:
    """An empty cell is a member left out."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        return [_of_cells(name, reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise Misused(f"{name}, line {reader.line_num}: {error}.", "Mend the quotes of that line.") from error


def _of_cells(name: str, line: int, row: dict[str, Any]) -> dict[str, Any]:
    if None in row:
        raise Misused(f"{name}, line {line}: more cells than headings.", "Put cells with commas into quotes.")
    return {member: _cell(member, text) for member, text in row.items() if text}


def _cell(member: str, text: str) -> Any:
    """What JSON has types for is read as JSON; all else is text, ids of digits too."""
    return feature_value(text) if member in ("value", *_NUMBERS, *_FLAGS) else text


def _yaml(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise Misused(f"{name}{where}: neither YAML nor JSON.", "Mend that place.") from error


def _plain(value: Any) -> Any:
    """YAML reads dates; the API takes them as text."""
    return value.isoformat() if isinstance(value, date) else value
