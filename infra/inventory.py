"""`python -m infra.inventory` (part of `make docs`): docs/resources.md, what production consists of, for review."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.app import add_stacks, new_app
from infra.bundle.assets import StandIns
from infra.stages import PROD

PAGE = Path(__file__).resolve().parents[1] / "docs" / "resources.md"
HEAD = """# What production consists of

Every resource of `-c stage=prod`, by stack and type, under its logical id. Written by `make docs`; a test fails when it
is stale, so that a resource that comes or goes is seen in review.
"""


def inventory(templates: Mapping[str, Mapping[str, Any]]) -> str:
    """`templates` by stack."""
    return "\n".join([HEAD, *(line for stack in templates for line in _listed(stack, templates[stack]))])


def _listed(stack: str, template: Mapping[str, Any]) -> Iterator[str]:
    by_type = defaultdict(list)
    for name, resource in template["Resources"].items():
        by_type[resource["Type"]].append(name)
    yield f"## {stack}: {sum(map(len, by_type.values()))}\n"
    for kind in sorted(by_type):
        yield f"- {kind} ({len(by_type[kind])}): {', '.join(f'`{name}`' for name in sorted(by_type[kind]))}"
    yield ""


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """The templates of an assembly, by the stack's last word."""
    files = sorted(folder.glob("*.template.json"))
    return {_stack(file): json.loads(file.read_text()) for file in files}


def _stack(file: Path) -> str:
    return file.name.removesuffix(".template.json").rpartition("-")[2]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as outdir, tempfile.TemporaryDirectory() as stand_ins:
        app = new_app(Path(outdir))
        add_stacks(app, PROD, StandIns(Path(stand_ins)))
        app.synth()
        PAGE.write_text(inventory(read(Path(outdir))))
