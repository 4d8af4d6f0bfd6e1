"""GET /metrics as Prometheus scrapes it, and by the rules of its `promtool check metrics`."""

import re

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.office import Office

SCRAPE = "GET /metrics"
UNITS = {"milliseconds", "ms", "minutes", "hours", "days", "kilobytes", "megabytes", "percent", "cents"}


@pytest.fixture
def text(office: Office) -> str:
    office.shop.buy("ann", "pro_monthly", 3)
    office.shop.buy("bob", "pro_yearly")
    office.shop.buy("bob", "badge")
    office.shop.apply(office.shop.events())
    answer = office.ask(SCRAPE)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(text: str, name: str, **labels: str) -> float:
    [found] = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found


def test_the_business_and_the_queues_are_there(text: str) -> None:
    assert value(text, "billing_subscriptions", project="notes", status="active") == 2
    assert value(text, "billing_subscriptions", project="notes", status="unpaid") == 0
    assert value(text, "billing_paying_customers", project="notes") == 2
    assert value(text, "billing_mrr_minor_units", project="notes", currency="usd") == 2700 + 750
    assert value(text, "billing_unclear_items", project="notes") == 0
    assert value(text, "billing_grants", project="notes", kind="grant") == 0
    assert value(text, "billing_grants", project="notes", kind="denial") == 0
    assert value(text, "billing_purchases_total", project="notes", currency="usd") == 1
    assert value(text, "billing_purchases_minor_units_total", project="notes", currency="usd") == 500
    assert value(text, "billing_inbox_events", status="applied") > 5
    assert value(text, "billing_outbox_debts") == 0
    assert value(text, "billing_outbox_oldest_seconds") == 0


def test_names_and_types_keep_promtools_rules(text: str) -> None:
    for name, family in families(text).items():
        assert re.fullmatch(r"billing(_[a-z]+)+", name), "no camelCase, one prefix"
        assert not set(name.split("_")) & UNITS, "base units only"
        assert "gauge" not in name
        assert "counter" not in name
        assert f"\n# HELP {name}" in f"\n{text}"
        assert family.documentation.endswith(".")
        assert family.type in {"gauge", "counter"}
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert all(re.fullmatch(r"[a-z]+", label) for label in sample.labels)


def test_no_series_names_a_user(text: str) -> None:
    labels = {(name, value) for f in families(text).values() for s in f.samples for name, value in s.labels.items()}
    assert {name for name, _ in labels} == {"project", "status", "currency", "kind"}
    assert not {"ann", "bob"} & {value for _, value in labels}


def test_what_is_owed_grows_older(office: Office) -> None:
    office.shop.rows(
        "INSERT INTO outbox (project_id, cause_kind, cause_id, created_at)"
        " VALUES ('notes', 'catalog', 'test', now() - interval '90 seconds') RETURNING id"
    )

    text = office.ask(SCRAPE).text

    assert value(text, "billing_outbox_debts") == 1
    assert 60 < value(text, "billing_outbox_oldest_seconds") < 600


def test_the_last_reconciliation_is_there_by_what_it_found(office: Office) -> None:
    before = office.ask(SCRAPE).text
    assert families(before)["billing_reconciliation_age_seconds"].samples == []
    assert value(before, "billing_reconciliation_drifts", kind="orphan", status="left") == 0

    office.shop.buy("ann", "pro_monthly")
    office.shop.double.control.freeze_clock()
    office.shop.double.control.advance_clock(advance_seconds=60)
    office.ask("POST /api/v1/admin/reconcile", {"passes": ["listing"]})
    office.shop.double.control.advance_clock(advance_seconds=3600)

    text = office.ask(SCRAPE).text
    assert value(text, "billing_reconciliation_age_seconds") == 3600
    assert value(text, "billing_reconciliation_runs", status="done") == 1
    assert value(text, "billing_reconciliation_runs", status="failed") == 0
    assert value(text, "billing_reconciliation_drifts", kind="missing_local", status="repaired") > 0
