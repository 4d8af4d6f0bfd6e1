"""A stage of the CDK app, synthesized in this process, with stand-ins for what would have to be built."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aws_cdk import Validations
from cdk_nag import AwsSolutionsChecks

from infra.app import add_stacks, new_app
from infra.bundle.assets import StandIns
from infra.inventory import read
from infra.stages import Stage
from tests.support.deployed import System, Template


@dataclass(frozen=True)
class Assembly:
    """A stage's stacks as synthesized into `folder`."""

    stage: Stage
    folder: Path

    @cached_property
    def templates(self) -> Mapping[str, Template]:
        """By the stack's last word: data, events, api, operations."""
        return read(self.folder)

    @cached_property
    def system(self) -> System:
        return System.of(*self.templates.values())

    def resources(self, stack: str) -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = self.templates[stack]["Resources"]
        return found


def synthesize(stage: Stage, folder: Path) -> Assembly:
    """With nothing of cdk-nag's AwsSolutions broken: a broken rule stops the synthesis and names the resource."""
    with tempfile.TemporaryDirectory() as stand_ins:
        app = new_app(folder)
        add_stacks(app, stage, StandIns(Path(stand_ins)))
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
        app.synth()
    return Assembly(stage, folder)
