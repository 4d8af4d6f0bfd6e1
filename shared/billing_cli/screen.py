"""What the command shows: results on standard output, all else on standard error; with `--json` only JSON is a result.

Colours, spinners and cut columns are for terminals only (rich sees to NO_COLOR too). Whatever came from elsewhere is
shown as text: it can neither style nor steer the terminal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from billing_cli.faults import Declined, Fault, Misused, Refused, Unreachable

Column = str | Callable[[Mapping[str, Any]], Any]
"""A member's name, or what to make of the row."""

_FRACTION = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$")

_WIDE = 10_000
"""Columns of what is no terminal: lines are read by programs there, so none is folded."""


class Screen:
    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._out = _console(sys.stderr if as_json else sys.stdout)
        self._err = _console(sys.stderr)

    def answer(self, text: str) -> None:
        """JSON for machines, as it came."""
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """A line of the result."""
        self._out.print(shown(text), soft_wrap=True)

    def heading(self, text: str) -> None:
        self._out.print(Text("\n").append(shown(text).plain, style="bold"), soft_wrap=True)

    def table(self, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, Column]) -> None:
        """One row a line; a note where there are none. The first column, mostly an id, is never folded."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for place, heading in enumerate(columns):
            table.add_column(heading, overflow="fold", no_wrap=place == 0)
        for row in rows:
            table.add_row(*[shown(_cell(row, column)) for column in columns.values()])
        if table.row_count == 0:
            self.note("None.")
            return
        self._out.print(table)

    def facts(self, document: Mapping[str, Any], members: Sequence[str] = ()) -> None:
        """One object, a member a line: these, or all."""
        grid = Table(box=None, pad_edge=False, show_header=False)
        grid.add_column(style="bold")
        grid.add_column(overflow="fold")
        for name in members or document:
            grid.add_row(shown(name), shown(document.get(name)))
        self._out.print(grid)

    def secret(self, key: str, what: str) -> None:
        """A new key, alone on standard output."""
        self.note(f"{what} It is shown this once: keep it now.")
        self.answer(key)

    def note(self, text: str) -> None:
        self._err.print(shown(text), style="dim", soft_wrap=True)

    def working(self, title: str) -> AbstractContextManager[Any]:
        """A spinner while the block runs; `update` on what it gives changes the title."""
        return self._err.status(shown(title))

    @contextmanager
    def bar(self, title: str) -> Iterator[Callable[[float, str], None]]:
        """A progress bar, on a terminal: what it gives takes the part that is done, 0 to 1, and where that is."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True, disable=not self._err.is_terminal) as progress:
            task = progress.add_task(escape(shown(title).plain), total=1.0)

            def advance(part: float, where: str) -> None:
                progress.update(task, completed=part, description=escape(shown(where).plain))

            yield advance

    def ask(self, question: str, instead: str) -> None:
        """Raises Declined unless the answer is yes; Misused where nobody is there to ask, saying what to do instead."""
        if not sys.stdin.isatty():
            raise Misused("Nobody is there to ask: standard input is no terminal.", instead)
        if not typer.confirm(question, err=True):
            raise Declined("Nothing was changed.")

    def trouble(self, fault: Fault) -> None:
        """What went wrong, where, what to do, and the id to quote."""
        problem = fault.problem if isinstance(fault, Refused | Unreachable) else None
        self._err.print(Text("✗ ", style="red").append(shown(fault.what).plain, style="bold"), soft_wrap=True)
        lines: list[str] = []
        if problem is not None:
            lines += [f"  {problem.detail}", *(f"  {pointer or '/'}  {text}" for pointer, text in problem.errors)]
        if fault.mend:
            lines.append(f"→ {fault.mend}")
        if problem is not None:
            lines.append(f"  code {problem.code}, request id {problem.request_id}")
        for line in lines:
            self._err.print(shown(line), soft_wrap=True)


def shown(value: Any) -> Text:
    """A value as text, without markup; what is not printable is escaped."""
    match value:
        case None:
            text = "-"
        case bool():
            text = "yes" if value else "no"
        case str():
            text = value
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return Text("".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text))


def _cell(row: Mapping[str, Any], column: Column) -> Any:
    """Instants to the second: a table is for looking at."""
    value = row.get(column) if isinstance(column, str) else column(row)
    return _FRACTION.sub(r"\1Z", value) if isinstance(value, str) else value


def _console(file: Any) -> Console:
    return Console(file=file, highlight=False, width=None if file.isatty() else _WIDE)
