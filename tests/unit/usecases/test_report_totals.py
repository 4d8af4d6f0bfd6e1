"""What all projects bring together."""

from fractions import Fraction

from billing.usecases.report_revenue import Present, total


def present(project_id: str, active: int, mrr: dict[str, Fraction]) -> Present:
    return Present(project_id, {"active": active, "trialing": 1}, active, 1, mrr, grants=0, denials=0)


def test_currencies_are_summed_apart_and_rounded_once() -> None:
    third = Fraction(1, 3)
    totals = total([present("a", 2, {"eur": 100 + third}), present("b", 3, {"eur": 100 + third, "usd": Fraction(7)})])

    assert totals.mrr == {"eur": 201, "usd": 7}
    assert (totals.subscriptions, totals.paying_customers, totals.unclear_items) == ({"active": 5, "trialing": 2}, 5, 2)


def test_without_projects_there_is_nothing() -> None:
    assert total([]).mrr == {}
