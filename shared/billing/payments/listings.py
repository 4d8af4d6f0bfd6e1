"""Products and prices out of Stripe's lists: many in one question, and whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from stripe import StripeClient

from billing.domain.facts import PriceFact, ProductFact
from billing.payments.members import Members
from billing.payments.objects import Fetched, pages
from billing.payments.prices import EXPAND, read_price, read_product

_IDS_A_QUESTION = 100  # `ids` cannot be paged through
_KEYS_A_QUESTION = 10  # `lookup_keys` takes no more
_EXPAND = [f"data.{path}" for path in EXPAND]


@dataclass(frozen=True, slots=True)
class ListedProduct:
    """A `product` with what importing and archiving look at. `feature_codes` are its metadata's, in order."""

    fetched: Fetched[ProductFact]
    default_price: str | None
    project_id: str | None
    feature_codes: tuple[str, ...]


def products_by_id(client: StripeClient, product_ids: Iterable[str]) -> dict[str, ListedProduct]:
    """Those that Stripe has and did not delete. Raises Transient, Permanent."""
    wanted = sorted(set(product_ids))
    slices = [wanted[n : n + _IDS_A_QUESTION] for n in range(0, len(wanted), _IDS_A_QUESTION)]
    found = (_listed(row, at) for ids in slices for row, at in pages(client, "/v1/products", {"ids": ids}))
    return {listed.fetched.fact.id: listed for listed in found}


def products_of_project(client: StripeClient, project_id: str) -> Iterator[ListedProduct]:
    """Every product whose metadata says `project_id`. Lists them all: search answers late."""
    every = (_listed(row, at) for row, at in pages(client, "/v1/products", {}))
    return (listed for listed in every if listed.project_id == project_id)


def prices_by_lookup_key(client: StripeClient, lookup_keys: Iterable[str]) -> dict[str, Fetched[PriceFact]]:
    """The price of each key that has one, active or not."""
    wanted = sorted(set(lookup_keys))
    slices = [wanted[n : n + _KEYS_A_QUESTION] for n in range(0, len(wanted), _KEYS_A_QUESTION)]
    found = (price for keys in slices for price in _prices(client, {"lookup_keys": keys}))
    return {str(price.fact.lookup_key): price for price in found}


def prices_of_product(client: StripeClient, product_id: str) -> list[Fetched[PriceFact]]:
    """All prices of a product, active or not."""
    return list(_prices(client, {"product": product_id}))


def _prices(client: StripeClient, params: dict[str, Any]) -> Iterator[Fetched[PriceFact]]:
    rows = pages(client, "/v1/prices", {**params, "expand": _EXPAND})
    return (Fetched(read_price(row), at) for row, at in rows)


def _listed(row: Members, at: int) -> ListedProduct:
    metadata = row.inner_or_none("metadata") or Members({}, "metadata")
    codes = (metadata.text_or_none("feature_codes") or "").split(",")
    return ListedProduct(
        Fetched(read_product(row), at),
        row.reference_or_none("default_price"),
        metadata.text_or_none("project_id"),
        tuple(dict.fromkeys(code.strip() for code in codes if code.strip())),
    )
