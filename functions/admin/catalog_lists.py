"""A project's products, prices, features and benefits as the store has them, archived ones too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.http.paging import Page, PageQuery, page, place
from billing.http.schemas import ProjectId
from billing.store import catalog_lists as lists
from billing.store.connection import Connection, transaction
from billing.store.projects import find_project
from billing.usecases.manage_projects import no_project
from functions.admin.desk import Call, Desk, Routes, answered


class CatalogPage(PageQuery):
    project_id: ProjectId


class ProductAnswer(BaseModel):
    """`deleted`: in Stripe, for good."""

    id: str
    name: str
    active: bool
    deleted: bool


class PriceAnswer(BaseModel):
    """Amounts in minor units, with a fraction only in `unit_amount_decimal`. Policies are null where defaults hold."""

    id: str
    product_id: str
    lookup_key: str | None
    type: str
    currency: str
    unit_amount: int | None
    unit_amount_decimal: Decimal | None
    recurring_interval: str | None
    recurring_count: int | None
    usage_type: str | None
    tiers_mode: str | None
    tiers: list[dict[str, Any]] | None
    currency_options: dict[str, Any] | None
    trial_days: int | None
    grace_days: float | None
    access_days: int | None
    on_full_refund: str | None
    on_partial_refund: str | None
    active: bool
    deleted: bool


class FeatureAnswer(BaseModel):
    code: str
    type: str
    merge: str
    name: str


class BenefitAnswer(BaseModel):
    """Exactly one of `product_id` and `price_id` gives it; a price's overrides its product's."""

    id: int
    product_id: str | None
    price_id: str | None
    feature: str
    value: Any
    per_unit: bool
    priority: int


def _operation(noun: str, answer: type[BaseModel], summary: str) -> Operation:
    path, name = f"/api/v1/admin/{noun}", f"list{noun.title()}"
    return Operation("GET", path, name, summary, answer, query=CatalogPage, problems=("project_not_found",))


PRODUCTS = _operation("products", Page[ProductAnswer], "The project's products, by id")
PRICES = _operation("prices", Page[PriceAnswer], "The project's prices, by product and id")
FEATURES = _operation("features", Page[FeatureAnswer], "The project's features, by code")
BENEFITS = _operation("benefits", Page[BenefitAnswer], "What gives the project's features, oldest first")


def _products(desk: Desk, call: Call) -> Response:
    query = of(CatalogPage, call.asked.query)
    after = place(query, str) or ("",)
    with transaction(desk.database_url) as connection:
        _known(connection, query.project_id)
        rows = lists.list_products(connection, query.project_id, after=after[0], limit=query.limit + 1)
    shown = [ProductAnswer.model_validate(row, from_attributes=True) for row in rows]
    return answered(call, page(query, shown, lambda row: (row.id,)))


def _prices(desk: Desk, call: Call) -> Response:
    query = of(CatalogPage, call.asked.query)
    product_id, price_id = place(query, str, str) or ("", "")
    with transaction(desk.database_url) as connection:
        _known(connection, query.project_id)
        after = (product_id, price_id)
        rows = lists.list_prices(connection, query.project_id, after=after, limit=query.limit + 1)
    shown = [PriceAnswer.model_validate(row, from_attributes=True) for row in rows]
    return answered(call, page(query, shown, lambda row: (row.product_id, row.id)))


def _features(desk: Desk, call: Call) -> Response:
    query = of(CatalogPage, call.asked.query)
    after = place(query, str) or ("",)
    with transaction(desk.database_url) as connection:
        _known(connection, query.project_id)
        rows = lists.list_features(connection, query.project_id, after=after[0], limit=query.limit + 1)
    shown = [FeatureAnswer.model_validate(row, from_attributes=True) for row in rows]
    return answered(call, page(query, shown, lambda row: (row.code,)))


def _benefits(desk: Desk, call: Call) -> Response:
    query = of(CatalogPage, call.asked.query)
    after = place(query, int) or (0,)
    with transaction(desk.database_url) as connection:
        _known(connection, query.project_id)
        rows = lists.list_benefits(connection, query.project_id, after=after[0], limit=query.limit + 1)
    shown = [BenefitAnswer.model_validate(row, from_attributes=True) for row in rows]
    return answered(call, page(query, shown, lambda row: (row.id,)))


def _known(connection: Connection, project_id: str) -> None:
    if find_project(connection, project_id) is None:
        raise no_project(project_id)


ROUTES: Routes = ((PRODUCTS, _products), (PRICES, _prices), (FEATURES, _features), (BENEFITS, _benefits))
