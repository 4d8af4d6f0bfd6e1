"""What survives a restart: one line of JSON per finished piece of work, appended to the state file.

A line is written whole or, after a crash, ignored; opening the file rewrites it compactly and atomically.
"""

import json
from pathlib import Path
from typing import Any, TextIO

# space ("objects", "facts", …) → key → JSON value
Spaces = dict[str, dict[str, Any]]


class Journal:
    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._changes: dict[tuple[str, str], Any] = {}
        self._file: TextIO | None = None

    def open(self) -> Spaces:
        """What the file holds, and the file ready for more; nothing without a path."""
        if self._path is None:
            return {}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        spaces = _read(self._path)
        whole = [[space, key, value] for space, entries in spaces.items() for key, value in entries.items()]
        compact = self._path.with_name(self._path.name + ".new")
        # Webhook secrets are inside: for the owner's eyes only.
        compact.touch(mode=0o600)
        compact.write_text(_line(whole), encoding="utf-8")
        compact.replace(self._path)
        self._file = self._path.open("a", encoding="utf-8")
        return spaces

    def note(self, space: str, key: str, value: Any) -> None:
        """Remember a value for the next `commit`; None forgets the key. Later changes of `value` are seen too."""
        if self._file is not None:
            self._changes[space, key] = value

    def commit(self) -> None:
        if self._file is None or not self._changes:
            return
        self._file.write(_line([[space, key, value] for (space, key), value in self._changes.items()]))
        self._file.flush()
        self._changes.clear()

    def close(self) -> None:
        self.commit()
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(changes: list[list[Any]]) -> str:
    return json.dumps(changes, separators=(",", ":")) + "\n"


def _read(path: Path) -> Spaces:
    spaces: Spaces = {}
    if not path.exists():
        return spaces
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break  # the last write was cut off by a crash: that work was never acknowledged
        try:
            changes = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number} is not the double's journal: move the file away") from error
        for space, key, value in changes:
            if value is None:
                spaces.get(space, {}).pop(key, None)
            else:
                spaces.setdefault(space, {})[key] = value
    return spaces
