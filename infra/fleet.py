"""Every Lambda function: how large, how long, what it may touch. Both templates are made from this table.

A function's environment and its rights follow from its `rights`: a variable is there if and only if something behind
it may be used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Part(Enum):
    """Something functions use. The value is the environment variable that says where it is."""

    STORE = "DATABASE_URL"
    TABLE = "TABLE_NAME"
    QUEUE = "QUEUE_URL"
    DEAD_LETTERS = "DEAD_LETTER_QUEUE_URL"
    BUS = "EVENT_BUS_NAME"
    STRIPE_KEY = "STRIPE_API_KEY_SECRET_ID"
    WEBHOOK_SECRETS = "STRIPE_WEBHOOK_SECRET_ID"
    SIGNING_KEYS = "SIGNING_KEYS_SECRET_ID"


CONNECT = ("rds-db:connect",)
READ_SECRET = ("secretsmanager:GetSecretValue",)
WRITE_SECRET = ("secretsmanager:PutSecretValue",)
PUT_EVENTS = ("events:PutEvents",)

CHECK = ("dynamodb:BatchGetItem",)
PUBLISH = ("dynamodb:PutItem",)
FENCE = ("dynamodb:UpdateItem",)
"""A refill's claim is made the same way."""
REPAIR = ("dynamodb:Scan", "dynamodb:DeleteItem")


@dataclass(frozen=True)
class Function:
    """`folder` of `functions/`. `memory` in MB, `timeout` in seconds; `rights`: the IAM actions on each part.

    `livemode`: is told whether the stage has real money.
    `reserved`: executions at once, set aside for it and its limit; None: the account's. `restored`: begins from a
    snapshot of its initialised self (SnapStart), where the stage has that.
    """

    folder: str
    rights: Mapping[Part, tuple[str, ...]]
    memory: int = 512
    timeout: int = 29
    livemode: bool = False
    reserved: int | None = None
    restored: bool = False

    @property
    def handler(self) -> str:
        return f"functions.{self.folder}.handler.lambda_handler"

    @property
    def name(self) -> str:
        """In the names of what is deployed."""
        return self.folder.replace("_", "-")

    @property
    def logical_id(self) -> str:
        """In templates."""
        return "".join(word.capitalize() for word in self.folder.split("_")) + "Function"


LIVEMODE = "STRIPE_LIVEMODE"
"""Variable of the functions that deal in it: `true` where the stage has real money."""

FLEET = (
    Function(
        "checkout",
        {Part.STORE: CONNECT, Part.TABLE: PUBLISH, Part.BUS: PUT_EVENTS, Part.STRIPE_KEY: READ_SECRET},
        livemode=True,
        reserved=20,
        restored=True,
    ),
    Function("portal", {Part.STORE: CONNECT, Part.STRIPE_KEY: READ_SECRET}, reserved=10, restored=True),
    Function(
        "entitlements",
        {Part.STORE: CONNECT, Part.TABLE: CHECK + PUBLISH + FENCE},
        timeout=15,
        restored=True,
    ),
    Function(
        "tokens",  # alone with the private keys: it makes them too
        {
            Part.STORE: CONNECT,
            Part.TABLE: CHECK + PUBLISH + FENCE,
            Part.SIGNING_KEYS: READ_SECRET + WRITE_SECRET,
        },
        timeout=15,
        restored=True,
    ),
    Function(
        "webhooks",
        {Part.QUEUE: ("sqs:SendMessage",), Part.WEBHOOK_SECRETS: READ_SECRET},
        timeout=15,
        restored=True,
    ),
    Function("health", {Part.STORE: CONNECT, Part.TABLE: CHECK}, timeout=15, reserved=5, restored=True),
    Function(
        "admin",
        {
            Part.STORE: CONNECT,
            Part.TABLE: CHECK + PUBLISH + FENCE + REPAIR,
            Part.BUS: PUT_EVENTS,
            Part.QUEUE: ("sqs:SendMessage", "sqs:GetQueueAttributes"),
            Part.DEAD_LETTERS: ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            Part.STRIPE_KEY: READ_SECRET,
            Part.WEBHOOK_SECRETS: READ_SECRET + WRITE_SECRET,
        },
        memory=1024,
        livemode=True,
        reserved=10,
        restored=True,
    ),
    Function(
        "apply_events",
        {
            Part.STORE: CONNECT,
            Part.TABLE: PUBLISH,
            Part.QUEUE: (
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ChangeMessageVisibility",
            ),
            Part.BUS: PUT_EVENTS,
            Part.STRIPE_KEY: READ_SECRET,
        },
        timeout=30,
        livemode=True,
    ),
    Function("outbox", {Part.STORE: CONNECT, Part.TABLE: PUBLISH, Part.BUS: PUT_EVENTS}, timeout=30, reserved=2),
    Function(
        "reconciliation",
        {
            Part.STORE: CONNECT,
            Part.TABLE: CHECK + PUBLISH + REPAIR,
            Part.BUS: PUT_EVENTS,
            Part.STRIPE_KEY: READ_SECRET,
        },
        timeout=900,
        livemode=True,
        reserved=2,
    ),
)

QUEUE_VISIBILITY = 180
"""Seconds: six times the worker's timeout, or a message comes again while its first run lasts."""

QUEUE_RETENTION_DAYS = 4
DEAD_LETTER_RETENTION_DAYS = 14
MAX_RECEIVES = 12
BATCH_SIZE = 10
WORKERS = 2
"""Batches of events at work at once: near the database's cores."""

PREFIX = "billing"


@dataclass(frozen=True)
class Schedule:
    """`expression` as EventBridge takes it; `payload` is the event, JSON, or EventBridge's own."""

    name: str
    function: str
    expression: str
    payload: Mapping[str, object] | None = None


SCHEDULES = (
    Schedule("outbox", "outbox", "rate(1 minute)"),
    # the day's run is begun by one rule; the other has a slice of whatever run is open worked on each minute
    Schedule("reconciliation", "reconciliation", "cron(17 3 * * ? *)", {"start": True}),
    Schedule("reconciliation-tick", "reconciliation", "rate(1 minute)"),
    # somebody has to ask, or nobody is told that the store is away
    Schedule("ready", "health", "rate(1 minute)", {"httpMethod": "GET", "resource": "/ready"}),
)


def function(folder: str) -> Function:
    """The entry of a folder of `functions/`. Raises KeyError."""
    return {each.folder: each for each in FLEET}[folder]
