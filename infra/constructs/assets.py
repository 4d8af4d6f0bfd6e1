"""Functions' code and layers as a stack takes them."""

from collections.abc import Sequence

from aws_cdk import AssetHashType, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bundle.assets import Asset, Assets
from infra.bundle.sources import layers_of


class Shipment:
    """Makes each layer once in each stack: one shared between stacks could not be replaced while in use."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._made: dict[tuple[str, str], lambda_.LayerVersion] = {}

    def code(self, folder: str) -> lambda_.Code:
        return _code(self._assets.package(folder))

    def layers(self, scope: Construct, folder: str) -> Sequence[lambda_.ILayerVersion]:
        return [self._layer(Stack.of(scope), name) for name in layers_of(folder)]

    def _layer(self, stack: Stack, name: str) -> lambda_.LayerVersion:
        made = self._made.get((stack.node.path, name))
        if made is None:
            made = lambda_.LayerVersion(
                stack,
                f"{name.title()}Layer",
                description=f"{name}, for {stack.stack_name}",
                code=_code(self._assets.layer(name)),
                compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
                compatible_architectures=[lambda_.Architecture.ARM_64],
                removal_policy=RemovalPolicy.RETAIN,  # an older version of a function may still need it
            )
            self._made[stack.node.path, name] = made
        return made


def _code(asset: Asset) -> lambda_.Code:
    return lambda_.Code.from_asset(str(asset.path), asset_hash=asset.digest, asset_hash_type=AssetHashType.CUSTOM)
