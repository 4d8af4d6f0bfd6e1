"""What differs between stages: one typed record each, so that a misspelt option fails before anything is deployed."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

Front = Literal["http", "rest"]
DatabaseKind = Literal["aurora", "rds"]
Nat = Literal["gateway", "instance"]


class Stage(BaseModel):
    """A deployment of the whole service. Its name is part of every resource's.

    `livemode`: real money (a live key of Stripe and live events). `front`: an HTTP API, or a REST API with WAF.
    `rest_private`: the REST API is reached from within the VPC alone. `rate`, `burst`: requests a second the front
    lets through. `reserve`: set executions aside for functions; an account's first quota of 10 does not allow it.
    `capacity`: Aurora's smallest and largest capacity units, or nothing for RDS. `alarm_email`: who is told.
    `domain`, `certificate_arn`: the API's own name, both or neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    livemode: bool
    front: Front = "http"
    rest_private: bool = False
    rate: int = 1_000
    burst: int = 2_000
    database: DatabaseKind = "aurora"
    capacity_min: float = 0.5
    capacity_max: float = 8
    instance_class: str = "t4g.medium"
    multi_az: bool = False
    nat: Nat = "gateway"
    retain: bool = True
    log_days: int = 90
    backup_days: int = 14
    log_level: str = "INFO"
    reserve: bool = True
    shift: Literal["canary", "linear", "all-at-once"] = "canary"
    alarm_email: str = ""
    domain: str = ""
    certificate_arn: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.domain) != bool(self.certificate_arn):
            raise ValueError("domain=… and -c certificate_arn=… go together: give both, or neither")
        if self.rest_private and self.front != "rest":
            raise ValueError("rest_private=true needs -c front=rest: an HTTP API cannot be private")
        return self


class BadStage(Exception):
    """The context names a stage or an option that is not there, or a value that does not fit."""


PROD = Stage(name="prod", livemode=True, multi_az=True)
STAGING = Stage(name="staging", livemode=False, capacity_max=2, retain=False, log_days=14, backup_days=1)
STAGES = {stage.name: stage for stage in (PROD, STAGING)}


def stage_from(context: Mapping[str, object]) -> Stage:
    """The stage that `-c stage=…` names (staging by default), with what other `-c OPTION=…` change.

    `context` may hold the CDK's own switches, whose names have a colon, a slash or a hyphen. Raises BadStage.
    """
    name = str(context.get("stage", STAGING.name))
    if name not in STAGES:
        raise BadStage(f"there is no stage {name!r}: -c stage={' or '.join(STAGES)} (infra/stages.py)")
    ours = {option: value for option, value in context.items() if not set(":/-") & set(option)}
    changes = {option: value for option, value in ours.items() if option not in ("stage", "name")}
    try:
        return Stage.model_validate({**STAGES[name].model_dump(), **changes})
    except ValidationError as fault:
        raise BadStage("; ".join(f"-c {_told(each)}" for each in fault.errors())) from fault


def _told(error: ErrorDetails) -> str:
    option = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        known = ", ".join(each for each in Stage.model_fields if each != "name")
        return f"{option}: there is no such option, but stage, {known}"
    return f"{option}={error['input']}: {error['msg']}" if option else error["msg"]
