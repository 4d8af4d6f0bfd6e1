"""What the local commands print: a spinner and a tick per step on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.text import Text

Tell = Callable[[str], None]


class Progress(Protocol):
    """Where the work reports to."""

    def step(self, title: str) -> AbstractContextManager[Tell]:
        """Around one piece of work; the yielded function says how it went, for the line printed at the end."""

    def note(self, text: str) -> None:
        """One line about something the reader should know."""


class Terminal:
    """Progress on standard output. Rich drops colours and spinners itself where there is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    @contextmanager
    def step(self, title: str) -> Iterator[Tell]:
        details: list[str] = []
        begun = time.perf_counter()
        with self._console.status(Text(title)) as spinner:

            def tell(detail: str) -> None:
                details[:] = [detail]
                spinner.update(Text(f"{title}: {detail}"))

            yield tell
        took = f"{(time.perf_counter() - begun) * 1000:7.0f} ms"
        line = Text.assemble(("  ✓ ", "green"), (took, "dim"), f"  {title}", *[f": {detail}" for detail in details])
        self._print(line)

    def note(self, text: str) -> None:
        self._print(Text(text))

    def heading(self, text: str) -> None:
        self._print(Text(f"\n{text}", style="bold"))

    def trouble(self, text: str) -> None:
        self._print(Text(f"  ✗ {text}", style="red"))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)
