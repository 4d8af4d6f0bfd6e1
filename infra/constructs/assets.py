"""Functions' code and layers as a stack takes them, from zip files made by `infra.bundle`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct


class Sources(Protocol):
    """Where the zip files are."""

    def package(self, folder: str) -> Path:
        """Of a folder of `functions/`."""
        ...

    def layers(self, folder: str) -> Sequence[tuple[str, Path]]:
        """Of the layers this function needs, by name, in the order Lambda unpacks them."""
        ...


class Assets:
    """Makes each layer once in each stack: one shared between stacks could not be replaced while in use."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._made: dict[tuple[str, str], lambda_.LayerVersion] = {}

    def code(self, folder: str) -> lambda_.Code:
        return lambda_.Code.from_asset(str(self._sources.package(folder)))

    def layers(self, scope: Construct, folder: str) -> Sequence[lambda_.ILayerVersion]:
        return [self._layer(Stack.of(scope), name, file) for name, file in self._sources.layers(folder)]

    def _layer(self, stack: Stack, name: str, file: Path) -> lambda_.LayerVersion:
        made = self._made.get((stack.node.path, name))
        if made is None:
            made = lambda_.LayerVersion(
                stack,
                f"{name.title()}Layer",
                description=f"{name}, for {stack.stack_name}",
                code=lambda_.Code.from_asset(str(file)),
                compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
                compatible_architectures=[lambda_.Architecture.ARM_64],
                removal_policy=RemovalPolicy.RETAIN,  # an older version of a function may still need it
            )
            self._made[stack.node.path, name] = made
        return made
