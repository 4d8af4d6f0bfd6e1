"""The CDK app (`cdk.json`): one stage of the service, as `-c stage=…` and the other options of infra/stages.py say."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from aws_cdk import App, Environment, RemovalPolicy, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from infra.bundle.assets import Assets, Bundle
from infra.bundle.faults import BadBundle
from infra.bundle.interpreter import find_interpreter
from infra.constructs.assets import Shipment
from infra.constructs.function import Shell
from infra.constructs.watched import Watched
from infra.fleet import PREFIX
from infra.stacks.api import ApiStack
from infra.stacks.data import DataStack
from infra.stacks.events import EventsStack
from infra.stacks.operations import OperationsStack
from infra.stages import BadStage, Stage, stage_from

REPOSITORY = Path(__file__).resolve().parents[1]


def add_stacks(app: App, stage: Stage, assets: Assets, env: Environment | None = None) -> None:
    """The stage's four stacks. A schema is brought up to date in the first, before any function changes."""
    shipment = Shipment(assets)
    prefix = f"{PREFIX}-{stage.name}"
    protected = stage.retain
    shell = Shell(
        prefix=prefix,
        environment={"STAGE": stage.name, "LOG_LEVEL": stage.log_level},
        livemode=stage.livemode,
        code=shipment.code,
        layers=shipment.layers,
        log_days=stage.log_days,
        log_removal=RemovalPolicy.RETAIN if protected else RemovalPolicy.DESTROY,
        reserve=stage.reserve,
    )
    data = DataStack(app, f"{prefix}-data", stage=stage, shell=shell, env=env)
    events = EventsStack(app, f"{prefix}-events", stage=stage, shell=shell, data=data, env=env)
    api = ApiStack(app, f"{prefix}-api", stage=stage, shell=shell, places=events.places, env=env)
    watched = Watched.of(stage, api.front.watched, data.watched, data.watched_nat)
    operations = OperationsStack(app, f"{prefix}-operations", stage=stage, watched=watched, env=env)
    operations.add_stack_dependency(api)
    Tags.of(app).add("service", PREFIX)
    Tags.of(app).add("stage", stage.name)


def new_app(outdir: Path | None = None, options: Mapping[str, str] | None = None) -> App:
    """With the CDK's switches of cdk.json, whoever starts it. `options` are those of infra/stages.py."""
    switches = json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    return App(
        analytics_reporting=False,
        context={**switches, **(options or {})},
        outdir=None if outdir is None else str(outdir),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.app", description="Synthesize one stage of the service")
    parser.add_argument("-c", action="append", default=[], metavar="OPTION=VALUE", help="as `cdk -c` takes them")
    given = parser.parse_args().c
    if faulty := [each for each in given if "=" not in each]:
        parser.error(f"-c {faulty[0]}: OPTION=VALUE is needed, such as -c stage=prod")
    app = new_app(options=dict(each.split("=", 1) for each in given))
    env = Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=os.environ.get("CDK_DEFAULT_REGION"))
    try:
        stage = stage_from(app.node.get_all_context())
        add_stacks(app, stage, Bundle(find_interpreter()), env)
    except (BadStage, BadBundle) as fault:
        sys.exit(str(fault))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True))
    app.synth()


if __name__ == "__main__":
    main()
