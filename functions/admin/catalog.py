"""Catalog as code: all a project sells and gates as one document; and products brought in from Stripe."""

from __future__ import annotations

from collections.abc import Callable

from billing.http.exchange import Response
from billing.http.operations import Operation, of
from billing.store.catalog_state import state_of
from billing.store.connection import transaction
from billing.store.projects import find_project
from billing.usecases.apply_catalog import prepare
from billing.usecases.catalog_document import CatalogDocument
from billing.usecases.catalog_export import document_of
from billing.usecases.import_products import Import, find_products
from billing.usecases.manage_projects import no_project
from billing.usecases.once import Finished, once
from billing.usecases.plan_catalog import measure, plan_catalog
from billing.usecases.publish_outbox import publish_project
from functions.admin.catalog_bodies import CatalogQuery, ImportAnswer, ImportBody, OfProject, PlanAnswer
from functions.admin.desk import Call, Desk, Routes, answered

LARGEST = 262_144
_LONGEST_IMPACT = 10.0
_RESERVE = 5.0  # seconds for what comes after counting

APPLY = Operation(
    "PUT",
    "/api/v1/admin/catalog",
    "applyCatalog",
    "Make Stripe and this service have what the document says, or tell what that would change and for whom",
    PlanAnswer,
    query=CatalogQuery,
    body=CatalogDocument,
    problems=(
        "invalid_catalog",
        "catalog_refused",
        "plan_outdated",
        "catalog_busy",
        "catalog_unfinished",
        "project_not_found",
        "stripe_unavailable",
        "stripe_key_refused",
        "raced",
    ),
    writes=True,
    largest=LARGEST,
    yaml=True,
)
READ = Operation(
    "GET",
    "/api/v1/admin/catalog",
    "readCatalog",
    "The catalog as it is, as the document that would make it",
    CatalogDocument,
    query=OfProject,
    problems=("project_not_found",),
)
IMPORT = Operation(
    "POST",
    "/api/v1/admin/catalog/import",
    "importProducts",
    "Bring products that Stripe has already into the project, with their prices",
    ImportAnswer,
    body=ImportBody,
    problems=("catalog_busy", "project_not_found", "stripe_unavailable", "stripe_key_refused", "raced"),
    writes=True,
)


def _apply(desk: Desk, call: Call) -> Response:
    query, document = of(CatalogQuery, call.asked.query), of(CatalogDocument, call.asked.body)
    if query.dry_run:
        return answered(call, _planned(desk, call, query.project_id, document))

    def work() -> Finished:
        prepared = prepare(
            desk.database_url,
            desk.stripe(),
            query.project_id,
            document,
            desk.now,
            call.operator,
            plan_id=query.plan_id,
            left=call.left,
        )
        body = PlanAnswer.of(prepared.plan, prepared.impact, applied=True).model_dump_json()
        return Finished(APPLY.status, body, prepared.record)

    return _once(desk, call, query.project_id, work)


def _planned(desk: Desk, call: Call, project_id: str, document: CatalogDocument) -> PlanAnswer:
    plan = plan_catalog(desk.database_url, desk.stripe(), project_id, document)
    end = call.left() - min(_LONGEST_IMPACT, call.left() - _RESERVE)
    impact = measure(desk.database_url, plan, desk.now(), lambda: call.left() - end)
    return PlanAnswer.of(plan, impact, applied=False)


def _once(desk: Desk, call: Call, project_id: str, work: Callable[[], Finished]) -> Response:
    """Published before it is answered, and again with a repeated answer."""
    outcome = once(desk.database_url, call.once(), work)
    publish_project(desk.publisher, project_id, desk.now())
    return answered(call, outcome.body, status=outcome.status, replayed=outcome.replayed)


def _read(desk: Desk, call: Call) -> Response:
    project_id = of(OfProject, call.asked.query).project_id
    with transaction(desk.database_url) as connection:
        if find_project(connection, project_id) is None:
            raise no_project(project_id)
        present = state_of(connection, project_id)
    return answered(call, document_of(present, project_id).model_dump_json(exclude_defaults=True))


def _import(desk: Desk, call: Call) -> Response:
    body = of(ImportBody, call.asked.body)

    def found() -> Import:
        return find_products(
            desk.database_url, desk.stripe(), body.project_id, body.product_ids, desk.now, call.operator
        )

    if body.dry_run:
        return answered(call, ImportAnswer.of(found(), applied=False))

    def work() -> Finished:
        whole = found()
        return Finished(IMPORT.status, ImportAnswer.of(whole, applied=True).model_dump_json(), whole.record)

    return _once(desk, call, body.project_id, work)


ROUTES: Routes = ((APPLY, _apply), (READ, _read), (IMPORT, _import))
