"""What the grant routes take: one grant (revocation) by its members, or up to a hundred as `grants`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, JsonValue

from billing.errors import FieldFault, Refused
from billing.http.schemas import Body, Instant, ProjectId, Reason, UserId, checked
from billing.usecases.give_grants import Order
from billing.usecases.revoke_grants import Target

MOST = 100
LARGEST = 262_144
"""Bytes of a body: a hundred grants with values of some length."""

FeatureCode = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$")]
GrantId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000, description="Of config values the highest wins")]
Value = Annotated[
    JsonValue, Field(description='`true`, a whole number, `"unlimited"`, or any JSON for a config feature')
]
Denial = Annotated[bool, Field(description="Takes the feature away, whatever else gives it; has no value")]
Denials = Annotated[bool, Field(description="Take the denials of the feature back, not the grants")]


def _one_of(*forms: tuple[str, ...]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"oneOf": [{"required": list(form)} for form in forms]})


class GrantMembers(Body):
    """`value` may be left out where the feature is a boolean. Without `valid_from` from now on, `valid_to` for ever."""

    project_id: ProjectId | None = None
    user_id: UserId | None = None
    feature: FeatureCode | None = None
    value: Value = None
    denial: Denial = False
    priority: Priority = 0
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    reason: Reason | None = None


class NewGrant(GrantMembers):
    project_id: ProjectId
    user_id: UserId
    feature: FeatureCode
    reason: Reason


class GrantBody(GrantMembers):
    """One grant by its members, or `grants`: all of them are made, or none."""

    model_config = _one_of(("grants",), ("project_id", "user_id", "feature", "reason"))

    grants: Annotated[list[NewGrant], Field(min_length=1, max_length=MOST)] | None = None


class RevocationMembers(Body):
    grant_id: GrantId | None = None
    project_id: ProjectId | None = None
    user_id: UserId | None = None
    feature: FeatureCode | None = None
    denial: Denials = False
    reason: Reason | None = None


class Revocation(RevocationMembers):
    """Of one grant by `grant_id`, or of all grants that a user of a project has of a feature."""

    model_config = _one_of(("grant_id",), ("project_id", "user_id", "feature"))

    reason: Reason


class RevokeBody(RevocationMembers):
    """One revocation by its members, or `grants`: all of them are made, or none."""

    model_config = _one_of(("grants",), ("grant_id", "reason"), ("project_id", "user_id", "feature", "reason"))

    grants: Annotated[list[Revocation], Field(min_length=1, max_length=MOST)] | None = None


BodyT = TypeVar("BodyT", bound=Body)


def orders_of(body: GrantBody, document: Mapping[str, Any]) -> list[Order]:
    """Raises Refused (`invalid_request`) with every fault; `document` is the body as it came."""
    return [
        Order(pointer, **{name: getattr(one, name) for name in GrantMembers.model_fields})
        for pointer, one in _each(body, NewGrant, body.grants, document)
    ]


def targets_of(body: RevokeBody, document: Mapping[str, Any]) -> list[Target]:
    """Raises as `orders_of`."""
    asked = _each(body, Revocation, body.grants, document)
    faults = [fault for pointer, one in asked for fault in _faults(pointer, one)]
    if faults:
        raise _invalid(faults)
    return [
        Target(
            pointer, one.reason, one.grant_id, one.project_id or "", one.user_id or "", one.feature or "", one.denial
        )
        for pointer, one in asked
    ]


def _each(
    body: Body, kind: type[BodyT], many: list[BodyT] | None, document: Mapping[str, Any]
) -> list[tuple[str, BodyT]]:
    """Each with its JSON pointer."""
    others = sorted(body.model_fields_set - {"grants"})
    if many is None:
        return [("", checked(kind, {name: document[name] for name in others}))]
    if others:
        raise _invalid(
            [FieldFault(f"/{name}", "with grants, each of them has its own: leave it out") for name in others]
        )
    return [(f"/grants/{place}", one) for place, one in enumerate(many)]


def _faults(pointer: str, one: Revocation) -> list[FieldFault]:
    """What keeps it from saying which grants it means."""
    owner = ("project_id", "user_id", "feature")
    if one.grant_id is None:
        missing = [name for name in owner if getattr(one, name) is None]
        return [FieldFault(f"{pointer}/{name}", "give grant_id, or all of " + ", ".join(owner)) for name in missing]
    more = [name for name in (*owner, "denial") if name in one.model_fields_set]
    return [FieldFault(f"{pointer}/{name}", "grant_id says which grant: leave this out") for name in more]


def _invalid(faults: list[FieldFault]) -> Refused:
    return Refused("invalid_request", "The body is not what this route takes.", fields=tuple(faults))
