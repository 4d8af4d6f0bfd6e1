"""`make docs`: docs/entitlements-changed.schema.json, what subscribers of the bus find in an event's `detail`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema

from functions.entitlements.operations import Entitlements

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "entitlements-changed.schema.json"


class ChangeCause(BaseModel):
    """What changed the snapshot last: a Stripe event, an operator's grant, a sync of a checkout, a run."""

    kind: Literal["event", "sync", "grant", "run"]
    id: str


class EntitlementsChanged(Entitlements):
    """All that a user may do since `as_of`, as GET /api/v1/entitlements answers it, with what changed it.

    May arrive twice, late, or out of order: take it only if its `version` is greater than what you have.
    """

    cause: ChangeCause
    truncated: Annotated[
        bool,
        Field(
            description="true: too large for an event, so `entitlements` is empty here: GET /api/v1/entitlements has it"
        ),
    ]


class _Schemas(GenerateJsonSchema):
    """Pydantic's schema, without a title made of each member's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  pydantic's signature
        return False


def schema() -> dict[str, Any]:
    found = EntitlementsChanged.model_json_schema(schema_generator=_Schemas, mode="serialization")
    return {"$schema": GenerateJsonSchema.schema_dialect, **found, "title": "entitlements.changed"}


def written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(schema()))
