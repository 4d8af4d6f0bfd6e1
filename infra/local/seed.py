"""The demo project, its catalog and its keys, made by the product's own use cases."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from stripe import StripeClient

from billing.domain import keys
from billing.store import keys as stored_keys
from billing.store.connection import transaction
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import read_catalog
from billing.usecases.manage_projects import create_key, create_project
from billing.usecases.publish_outbox import Publisher

PROJECT_ID = "notes"
APP_URL = "http://localhost:3000"
"""Where the demo's micro-app would run: the origin its success, cancel and return URLs must have."""

CATALOG = Path(__file__).with_name("demo-catalog.yaml")


def seed_project(publisher: Publisher, stripe: StripeClient) -> None:
    """Create what is missing, change what differs; safe to repeat."""
    create_project(publisher.database_url, project_id=PROJECT_ID, name="Notes (demo)", allowed_origins=[APP_URL])
    document: Mapping[str, Any] = yaml.safe_load(CATALOG.read_text())
    apply_catalog(publisher, stripe, PROJECT_ID, read_catalog(document), lambda: datetime.now(UTC))


def ensure_key(database_url: str, known: str, *, project_id: str | None, name: str) -> str:
    """`known` if the store still has it, else a new key (an admin's where `project_id` is None)."""
    if known:
        with transaction(database_url) as connection:
            if stored_keys.find_key(connection, keys.digest(known)) is not None:
                return known
    return create_key(database_url, project_id=project_id, name=name, mode="test").secret
