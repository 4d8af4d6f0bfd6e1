"""What a user may do, and why.

The handler never imports this, for a check has no time for pydantic: contract tests hold the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from billing.domain.catalog import FeatureType
from billing.domain.entitlements import Reason
from billing.http.operations import Operation, Query
from billing.http.schemas import Body, Instant, ProjectId, UserId

FeatureCode = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_.-]{0,62}$")]
FeatureValue = Annotated[
    Any, Field(description="boolean: true · limit: a number, or `unlimited` · config: any JSON · null: not allowed")
]


class UserQuery(Query):
    user_id: Annotated[UserId, Field(description="The project's own id for its user")]


class CheckQuery(UserQuery):
    feature: FeatureCode


class ExplainQuery(CheckQuery):
    at: Annotated[
        Instant | None, Field(description="A past instant is answered as it was known then. Left out: now")
    ] = None
    project_id: Annotated[
        ProjectId | None, Field(description="An operator names it; a project's key opens its own alone")
    ] = None


class Pair(Body):
    user_id: UserId
    feature: FeatureCode


class BatchBody(Body):
    checks: Annotated[list[Pair], Field(min_length=1, max_length=100)]


class Check(BaseModel):
    """May this user use this feature? Until `valid_to` (null: no end is known) if nothing changes.

    Every later answer is of `version` or newer; `stale`: the store cannot be asked now, and this was the last answer.
    """

    allowed: bool
    value: FeatureValue
    reason: Reason
    valid_to: Instant | None
    feature: str
    project_id: str
    user_id: str
    version: int
    as_of: Instant
    stale: bool


class Batch(BaseModel):
    """In the order of the checks, each as it would be answered alone."""

    results: list[Check]


class Because(BaseModel):
    """Why a feature is held, and in which window `[valid_from, valid_to)`."""

    id: str
    value: FeatureValue
    valid_from: Instant
    valid_to: Instant | None


class BecauseSold(Because):
    product: str
    price: str
    event: str = Field(default_factory=str, description="The Stripe event that said so last, where one is known")


class BecauseSubscribed(BecauseSold):
    kind: Literal["subscription_item"]
    subscription: str
    status: str


class BecausePurchased(BecauseSold):
    kind: Literal["purchase"]


class BecauseGranted(Because):
    kind: Literal["grant"]


class Entitlement(BaseModel):
    feature: str
    type: FeatureType
    value: FeatureValue
    valid_to: Instant | None
    sources: list[BecauseSubscribed | BecausePurchased | BecauseGranted]


class Entitlements(BaseModel):
    """All that a user may do now; empty for a user nobody knows."""

    project_id: str
    user_id: str
    version: int
    as_of: Instant
    entitlements: list[Entitlement]
    stale: bool


class RuleAnswer(BaseModel):
    code: str
    text: str


class Cause(BaseModel):
    """What changed something: members beyond these depend on `kind`."""

    kind: str = Field(description="event, grant, sync, run, catalog …")
    id: str
    type: str = Field(default_factory=str, description="Of the Stripe event")
    created: Instant | None = Field(default=None, description="By Stripe's clock")
    received_at: Instant | None = None
    reason: str = Field(default_factory=str, description="Of the grant")
    actor: str = Field(default_factory=str, description="Whose grant it is")


class Told(BaseModel):
    """A source or a denial, live or not, with the rule that ends it."""

    id: str
    label: str
    live: bool
    valid_from: Instant
    valid_to: Instant | None
    rule: RuleAnswer
    other_rules: list[RuleAnswer]
    caused_by: Cause | None


class ToldSubscription(Told):
    kind: Literal["subscription_item"]
    value: FeatureValue
    subscription: str
    status: str
    product: str
    price: str


class ToldPurchase(Told):
    kind: Literal["purchase"]
    value: FeatureValue
    checkout_session: str
    product: str
    price: str


class ToldDenial(Told):
    kind: Literal["grant"]
    reason: str | None
    actor: str | None


class ToldGrant(ToldDenial):
    value: FeatureValue


class Change(BaseModel):
    at: Instant
    version: int
    what: list[str]
    cause: Cause | None


class Explanation(BaseModel):
    """The answer of a check at `at`, the rule that made it, everything it rests on, and the latest 50 changes."""

    project_id: str
    user_id: str
    feature: str
    at: Instant
    version: int
    as_of: Instant | None
    allowed: bool
    value: FeatureValue
    reason: Reason
    valid_to: Instant | None
    rule: RuleAnswer
    sources: list[ToldSubscription | ToldPurchase | ToldGrant]
    denials: list[ToldDenial]
    changes: list[Change]


LIST = Operation(
    "GET",
    "/api/v1/entitlements",
    "listEntitlements",
    "All that a user may do",
    Entitlements,
    query=UserQuery,
    opens="project",
    etag=True,
)
CHECK = Operation(
    "GET",
    "/api/v1/entitlements/check",
    "check",
    "May this user use this feature?",
    Check,
    query=CheckQuery,
    opens="project",
)
CHECK_BATCH = Operation(
    "POST",
    "/api/v1/entitlements/check",
    "checkBatch",
    "Up to 100 checks at once",
    Batch,
    body=BatchBody,
    opens="project",
    largest=1_048_576,
)
EXPLAIN = Operation(
    "GET",
    "/api/v1/entitlements/explain",
    "explain",
    "Why may they, or why not, at any instant",
    Explanation,
    query=ExplainQuery,
    problems=("wrong_project", "project_not_found"),
    opens="either",
)
OPERATIONS = (LIST, CHECK, CHECK_BATCH, EXPLAIN)
