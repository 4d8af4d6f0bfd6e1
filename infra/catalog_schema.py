"""`make docs`: docs/catalog.schema.json, from the model that reads a catalog. Editors check and complete by it."""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from billing.usecases.catalog_document import CatalogDocument

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "catalog.schema.json"


class _Schemas(GenerateJsonSchema):
    """Pydantic's schema, without a title made of each member's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  pydantic's signature
        return False


def schema() -> dict[str, Any]:
    found = CatalogDocument.model_json_schema(schema_generator=_Schemas)
    return {"$schema": GenerateJsonSchema.schema_dialect, **found, "title": "A project's catalog"}


def written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(schema()))
