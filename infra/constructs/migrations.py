"""The schema, brought up to date by the deployment before any function that needs it changes."""

import hashlib

from aws_cdk import CustomResource, Duration
from constructs import Construct

from billing.store import roles
from billing.store.migrate import files
from infra.constructs.database import PostgreSql
from infra.constructs.function import Shell, bare_function
from infra.fleet import CONNECT, Function, Part

MIGRATIONS = Function("migrations", {Part.STORE: CONNECT}, timeout=900)
"""No function of the fleet: it alone logs in as the schema's owner, and no request reaches it."""

_ANSWER_MINUTES = 16
"""How long CloudFormation waits: a little longer than the function may take."""


class Migrations(Construct):
    """The function, and a resource of CloudFormation's that has it run whenever the schema's code changes."""

    def __init__(self, scope: Construct, construct_id: str, *, shell: Shell, database: PostgreSql) -> None:
        super().__init__(scope, construct_id)
        variables = {**shell.environment, Part.STORE.value: database.owner_url}
        function, role = bare_function(self, MIGRATIONS, shell, database, variables)
        database.grant_own(role)
        self.schema = CustomResource(
            self,
            "Schema",
            resource_type="Custom::Schema",
            service_token=function.function_arn,
            service_timeout=Duration.minutes(_ANSWER_MINUTES),
            properties={"Digest": digest()},
        )
        self.schema.node.add_dependency(database, role, *database.security_groups)  # whatever opens the way to it


def digest() -> str:
    """Of all that the function brings about."""
    told = repr((files(), roles.FUNCTIONS_USER, roles.LIMITS))
    return hashlib.sha256(told.encode()).hexdigest()[:16]
