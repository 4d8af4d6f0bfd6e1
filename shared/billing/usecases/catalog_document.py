"""The catalog as an operator writes it: features, products, their prices, and what each gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from billing.domain.catalog import Benefit, Feature, PricePolicy
from billing.domain.catalog_changes import CatalogState, NamedFeature, PriceState, ProductState
from billing.domain.catalog_faults import faults_of
from billing.domain.policies import OnRefund
from billing.domain.prices import Amount, Money, Tier
from billing.errors import FieldFault, Refused

Code = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$", description="Unique in the project")]
Name = Annotated[str, Field(max_length=250, pattern=r"^[^\x00-\x1f\x7f]*$")]
LookupKey = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
StripeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,255}$")]
Currency = Annotated[str, Field(pattern="^[a-z]{3}$", description="ISO 4217, lower case")]
Units = Annotated[int, Field(ge=0, le=999_999_999_999, description="Minor units, such as cents")]
Fraction = Annotated[
    str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$", description="Minor units with up to 12 decimals, as a string")
]
KEY = "[a-z][a-z0-9_-]{0,62}"
_LONGEST = {"day": 1095, "week": 156, "month": 36, "year": 3}  # Stripe bills at least every three years


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class FeatureEntry(_Strict):
    """What the project gates; `merge` says how several limits add up."""

    code: Code
    type: Literal["boolean", "limit", "config"]
    merge: Literal["max", "sum"] = "max"
    name: Name = ""

    def feature(self) -> Feature:
        return Feature(self.code, self.type, self.merge)


class BenefitEntry(_Strict):
    """A feature given: `true`, a whole number, `"unlimited"`, or any JSON for a config feature."""

    feature: Code
    value: JsonValue = True
    per_unit: Annotated[bool, Field(description="Times the quantity bought: seats")] = False
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000, description="Of config values the highest wins")] = 0

    @model_serializer(mode="wrap")
    def _with_value(self, write: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]  # noqa: ANN202  # a type here would be all that the schema says
        """Where defaults are left out, 1 would be taken for true, and so for the default."""
        return {**write(self), "value": self.value}

    def benefit(self) -> Benefit:
        return Benefit(self.feature, self.value, per_unit=self.per_unit, priority=self.priority)


class TierEntry(_Strict):
    """Units up to and including `up_to` (null in the last tier) cost this each, and the tier `flat_amount` once."""

    up_to: Annotated[int, Field(ge=1, le=2**53)] | None
    unit_amount: Units = 0
    unit_amount_decimal: Fraction | None = None
    flat_amount: Units = 0

    def tier(self) -> Tier:
        exact = self.unit_amount_decimal
        return Tier(self.up_to, Decimal(self.unit_amount if exact is None else exact), Decimal(self.flat_amount))


class AmountEntry(_Strict):
    """The price in a further currency."""

    unit_amount: Units | None = None
    unit_amount_decimal: Fraction | None = None

    def amount(self) -> Amount:
        return _amount(self.unit_amount, self.unit_amount_decimal)

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.unit_amount is None) == (self.unit_amount_decimal is None):
            raise ValueError("give one of unit_amount and unit_amount_decimal")
        return self


class PriceEntry(_Strict):
    """A price by its lookup key; money in minor units. Without `interval` it is paid once.

    `id` names a price that Stripe has already; then its money may be left out.
    """

    lookup_key: LookupKey | None = None
    id: StripeId | None = None
    currency: Currency | None = None
    unit_amount: Units | None = None
    unit_amount_decimal: Fraction | None = None
    interval: Literal["day", "week", "month", "year"] | None = None
    interval_count: Annotated[int, Field(ge=1, le=1095)] = 1
    tiers_mode: Literal["graduated", "volume"] | None = None
    tiers: Annotated[tuple[TierEntry, ...], Field(strict=False, max_length=100)] = ()
    currency_options: Annotated[dict[Currency, AmountEntry], Field(default_factory=dict, max_length=100)]
    trial_days: Annotated[int, Field(ge=1, le=730, description="What a checkout gives unless it says")] | None = None
    grace_days: Annotated[int, Field(ge=0, le=90, description="Access while past due; default 7")] | None = None
    access_days: Annotated[int, Field(ge=1, le=36_500, description="Of a one-time price; default for ever")] | None = (
        None
    )
    on_full_refund: OnRefund | None = None
    on_partial_refund: OnRefund = "keep"
    archived: Annotated[bool, Field(description="Not sold; who holds it keeps it")] = False
    benefits: Annotated[tuple[BenefitEntry, ...], Field(strict=False)] = ()

    def policy(self) -> PricePolicy:
        default = PricePolicy()
        grace = default.grace_period if self.grace_days is None else timedelta(days=self.grace_days)
        return PricePolicy(grace, default.renewal_leeway, self.access_days, self.on_full_refund, self.on_partial_refund)

    def money(self) -> Money | None:
        """None: whatever the price of this id asks."""
        if self.currency is None:
            return None
        tiers = tuple(tier.tier() for tier in self.tiers)
        amount = Amount(tiers=tiers) if tiers else _amount(self.unit_amount, self.unit_amount_decimal)
        options = tuple((currency, option.amount()) for currency, option in sorted(self.currency_options.items()))
        return Money(self.currency, amount, self.interval, self.interval_count, self.tiers_mode, options)

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.lookup_key is None and self.id is None:
            raise ValueError("name the price by a lookup_key, or by the id it has in Stripe")
        return self

    @model_validator(mode="after")
    def _says_its_money(self) -> Self:
        amounts = [self.unit_amount, self.unit_amount_decimal, self.tiers or None]
        given = [amount for amount in amounts if amount is not None]
        if self.currency is None and (self.id is None or given or self.interval is not None or self.currency_options):
            raise ValueError("give the currency")
        if self.currency is not None and len(given) != 1:
            raise ValueError("give exactly one of unit_amount, unit_amount_decimal and tiers")
        if bool(self.tiers) != (self.tiers_mode is not None):
            raise ValueError("tiers and tiers_mode come together")
        if self.tiers and self.currency_options:
            raise ValueError("a price with tiers has one currency: add a price for each other one")
        return self

    @model_validator(mode="after")
    def _policies_fit(self) -> Self:
        if self.interval is not None and self.access_days is not None:
            raise ValueError("access_days belongs to one-time prices: drop it or the interval")
        once = self.interval is None and self.currency is not None
        if once and self.grace_days is not None:
            raise ValueError("grace_days belongs to recurring prices: drop it or add an interval")
        if once and self.trial_days is not None:
            raise ValueError("trial_days belongs to recurring prices: drop it or add an interval")
        if self.interval is None and self.interval_count != 1:
            raise ValueError("interval_count counts intervals: add an interval")
        if self.interval is not None and self.interval_count > _LONGEST[self.interval]:
            raise ValueError(
                f"Stripe bills at least every three years: at most {_LONGEST[self.interval]} {self.interval}s"
            )
        return self


class ProductEntry(_Strict):
    """A product by a key of the operator's own; its benefits hold for all its prices, unless a price overrides them.

    `id` instead of `key` names an imported product.
    """

    key: Annotated[str, Field(pattern=f"^{KEY}$")] | None = None
    id: StripeId | None = None
    name: Annotated[Name, Field(min_length=1)]
    archived: Annotated[bool, Field(description="Not sold; who holds it keeps it")] = False
    benefits: Annotated[tuple[BenefitEntry, ...], Field(strict=False)] = ()
    prices: Annotated[tuple[PriceEntry, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if (self.key is None) == (self.id is None):
            raise ValueError("name the product by a key, or an imported one by its id in Stripe")
        return self


class CatalogDocument(_Strict):
    """All a project sells and gates. What it leaves out is archived or removed."""

    features: Annotated[tuple[FeatureEntry, ...], Field(strict=False)]
    products: Annotated[tuple[ProductEntry, ...], Field(strict=False)] = ()

    def digest(self) -> bytes:
        """Of what it says, however it is written."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).digest()


def read_catalog(document: Mapping[str, Any]) -> CatalogDocument:
    """The document, checked as far as it can be by itself. Raises Refused (`invalid_catalog`) with every fault."""
    try:
        read = CatalogDocument.model_validate(document)
    except ValidationError as error:
        raise invalid(
            [FieldFault.at(fault["loc"], _words(fault)) for fault in error.errors(include_url=False)]
        ) from None
    check(read)
    return read


def check(document: CatalogDocument) -> None:
    """Raises Refused (`invalid_catalog`) where it contradicts itself."""
    faults = [FieldFault.at(path, text) for path, text in faults_of(state_of(document, ""))]
    if faults:
        raise invalid(faults)


def invalid(faults: list[FieldFault]) -> Refused:
    return Refused("invalid_catalog", "Nothing was changed, here or in Stripe.", fields=tuple(faults))


def state_of(document: CatalogDocument, project_id: str) -> CatalogState:
    """What the document wants, in its own order. Products of our own making are called `<project>_<key>`."""
    return CatalogState(
        tuple(NamedFeature(entry.feature(), entry.name) for entry in document.features),
        tuple(_product(entry, project_id) for entry in document.products),
    )


def _product(entry: ProductEntry, project_id: str) -> ProductState:
    product_id = entry.id or f"{project_id}_{entry.key}"
    return ProductState(
        product_id,
        entry.name,
        active=not entry.archived,
        benefits=tuple(given.benefit() for given in entry.benefits),
        prices=tuple(_price(price, product_id) for price in entry.prices),
        imported=entry.id is not None,
    )


def _price(entry: PriceEntry, product_id: str) -> PriceState:
    return PriceState(
        entry.id,
        product_id,
        entry.lookup_key,
        entry.money(),
        entry.policy(),
        entry.trial_days,
        tuple(given.benefit() for given in entry.benefits),
        active=not entry.archived,
    )


def _amount(unit_amount: int | None, exact: str | None) -> Amount:
    if exact is not None:
        return Amount(Decimal(exact))
    return Amount(None if unit_amount is None else Decimal(unit_amount))


def _words(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return "no such member: mind the spelling, or leave it out"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return str(fault["msg"])
