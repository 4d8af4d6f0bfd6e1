"""What the catalog's routes take and answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from billing.domain.catalog_changes import Change
from billing.domain.catalog_impact import Tally
from billing.http.operations import Query
from billing.http.schemas import Body, ProjectId
from billing.usecases.catalog_document import StripeId
from billing.usecases.import_products import MOST_PRODUCTS, Import
from billing.usecases.plan_catalog import Impact, Plan


class CatalogQuery(Query):
    """`plan_id` of a plan: apply exactly that one, or nothing."""

    project_id: ProjectId
    dry_run: Annotated[bool, Field(description="Only tell what would change, and for whom")] = False
    plan_id: Annotated[str | None, Field(pattern="^[0-9a-f]{32}$", description="Apply this plan or nothing")] = None


class OfProject(Query):
    project_id: ProjectId


class ChangeAnswer(BaseModel):
    """`key` is what the document calls it: a lookup key, `<product or price>/<feature>`, a code. Only what differs."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True)

    kind: Literal["create", "update", "archive", "transfer_lookup_key", "remove"]
    object: Literal["feature", "product", "price", "benefit"]
    id: str | None
    key: str
    before: Annotated[dict[str, Any] | None, Field(alias="from")]
    after: Annotated[dict[str, Any] | None, Field(alias="to")]

    @staticmethod
    def of(change: Change) -> ChangeAnswer:
        before, after = (None if side is None else dict(side) for side in (change.before, change.after))
        return ChangeAnswer(
            kind=change.kind, object=change.object, id=change.id, key=change.key, before=before, after=after
        )


class Samples(BaseModel):
    """Up to ten user_ids of each."""

    gains: list[str]
    loses: list[str]
    changes: list[str]


class FeatureImpact(BaseModel):
    """How many users gain it, lose it, or get another value for it, now."""

    feature: str
    gains: int
    loses: int
    changes: int
    samples: Samples

    @staticmethod
    def of(feature: str, tally: Tally) -> FeatureImpact:
        samples = Samples(**tally.samples)
        return FeatureImpact(feature=feature, **tally.counts, samples=samples)


class ImpactAnswer(BaseModel):
    """Of the `customers` looked at. `complete` is false where time was up before the last: the counts are a minimum."""

    customers: int
    complete: bool
    features: list[FeatureImpact]


class PlanAnswer(BaseModel):
    plan_id: str
    applied: bool
    changes: list[ChangeAnswer]
    unchanged: Annotated[int, Field(description="Features, products, prices and benefits that stay as they are")]
    impact: ImpactAnswer

    @staticmethod
    def of(plan: Plan, impact: Impact, *, applied: bool) -> PlanAnswer:
        features = [FeatureImpact.of(code, tally) for code, tally in sorted(impact.features.items())]
        return PlanAnswer(
            plan_id=plan.plan_id,
            applied=applied,
            changes=[ChangeAnswer.of(change) for change in plan.difference.changes],
            unchanged=plan.difference.unchanged,
            impact=ImpactAnswer(customers=impact.customers, complete=impact.complete, features=features),
        )


class ImportBody(Body):
    """Without `product_ids`: every product whose metadata `project_id` is the project's."""

    project_id: ProjectId
    product_ids: Annotated[list[StripeId], Field(min_length=1, max_length=MOST_PRODUCTS)] | None = None
    dry_run: bool = False


class ImportedProduct(BaseModel):
    """`imported` is false where the project had it already; `features` are those it comes to give by its metadata."""

    id: str
    name: str
    imported: bool
    prices: int
    features: list[str]


class ImportAnswer(BaseModel):
    applied: bool
    products: list[ImportedProduct]

    @staticmethod
    def of(found: Import, *, applied: bool) -> ImportAnswer:
        products = [
            ImportedProduct(
                id=each.id,
                name=each.product.fetched.fact.name,
                imported=not each.mapped,
                prices=len(each.prices),
                features=list(each.gives),
            )
            for each in found.found
        ]
        return ImportAnswer(applied=applied, products=products)
