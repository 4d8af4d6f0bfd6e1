"""What happens without anyone asking: Stripe's events are applied, the outbox is swept, all is reconciled."""

from collections.abc import Mapping

from aws_cdk import Environment, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.function import Shell, add_function
from infra.constructs.messages import EventQueue, add_bus, feed
from infra.constructs.places import Places
from infra.constructs.schedules import add_schedule
from infra.fleet import SCHEDULES, function
from infra.routes import BACKGROUND
from infra.stacks.data import DataStack
from infra.stages import Stage


class EventsStack(Stack):
    """Queue, bus, their functions and schedules. `places` are all parts of the deployment; `functions` by folder."""

    places: Places
    functions: Mapping[str, lambda_.IFunction]

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        shell: Shell,
        data: DataStack,
        env: Environment | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            termination_protection=stage.retain,
            description="Stripe's events, the outbox and the reconciliation of the billing service",
        )
        queue = EventQueue(self, "Events", prefix=shell.prefix, retain=stage.retain)
        self.places = Places(
            data.database,
            data.table,
            queue.queue,
            queue.dead_letters,
            add_bus(self, shell.prefix),
            data.stripe_key,
            data.webhook_secrets,
            data.signing_keys,
        )
        functions = {folder: add_function(self, function(folder), shell, self.places) for folder in BACKGROUND}
        feed(self, queue.queue, functions["apply_events"])
        for schedule in SCHEDULES:
            if schedule.function in functions:
                add_schedule(self, schedule, shell.prefix, functions)
        self.functions = functions
