"""The published schema of catalogs is the code's, and takes what the code takes."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from billing.usecases.catalog_document import CatalogDocument, read_catalog
from infra.catalog_schema import DOCUMENT, schema, written

ROOT = Path(__file__).parents[2]
EXAMPLES = (ROOT / "docs/catalog.example.yaml", ROOT / "infra/local/demo-catalog.yaml")


def test_the_schema_is_what_the_code_says() -> None:
    """After a change of `usecases.catalog_document`: make docs."""
    assert DOCUMENT.read_text() == written(schema())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_catalogs_to_the_schema_and_to_the_code(example: Path) -> None:
    document = yaml.safe_load(example.read_text())

    jsonschema_rs.validate(schema(), document)
    assert read_catalog(document).products


def test_the_schema_refuses_a_member_nobody_knows() -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(schema(), {"features": [], "produkts": []})


def test_the_example_shows_every_member_there_is() -> None:
    """But those of imported products, of what is archived, and defaults."""
    shown = set(json.dumps(yaml.safe_load(EXAMPLES[0].read_text())).split('"'))
    models = [CatalogDocument.model_json_schema(), *CatalogDocument.model_json_schema()["$defs"].values()]
    members = {name for model in models for name in model.get("properties", {})}

    assert members - shown == {"id", "archived", "interval_count"}
