"""`make api-diff BASE=main`: does the contract in docs/openapi.json break what callers of the base rely on?

Ends 1 with a line for each break. One that is meant is quoted, with its reason, in docs/api-breaks.md.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.api_breaks import breaks

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = "docs/openapi.json"
MEANT = "docs/api-breaks.md"
PARENT = "HEAD~1"


def main(base: str, root: Path = ROOT) -> int:
    """`base` "": the commit before this one, and nothing to compare where the history or its contract is missing."""
    old = contract_of(base or PARENT, root)
    if old is None:
        print(f"{base or PARENT} has no {CONTRACT} here: nothing to compare.")  # noqa: T201  a command
        return 1 if base else 0
    new = json.loads((root / CONTRACT).read_text(encoding="utf-8"))
    lines = breaks(old, new)
    meant = (root / MEANT).read_text(encoding="utf-8")
    unmeant = [line for line in lines if f"`{line}`" not in meant]
    for line in lines:
        print(line if line in unmeant else f"{line} (meant: {MEANT})")  # noqa: T201  a command
    if unmeant:
        print(f"{len(unmeant)} breaks. Keep the old way too, or quote a line in {MEANT} with its reason.")  # noqa: T201
    return 1 if unmeant else 0


def contract_of(ref: str, repository: Path) -> Any:
    """The contract as it was committed at `ref`; None where there is no such commit, or none in it."""
    shown = subprocess.run(  # noqa: S603  git, with a ref of the developer's own
        ["git", "show", f"{ref}:{CONTRACT}"],  # noqa: S607  the git on their path
        cwd=repository,
        capture_output=True,
        check=False,
    )
    return json.loads(shown.stdout) if shown.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
