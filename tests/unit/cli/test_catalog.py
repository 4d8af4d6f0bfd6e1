"""Plan, look, apply: exactly the plan that was shown."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.terminal import Terminal, ok, page, problem

CATALOG = "features: []  # a comment stays\n"
NO_IMPACT = {"customers": 3, "complete": True, "features": []}


def plan(*changes: dict[str, Any], applied: bool = False, **impact: Any) -> dict[str, Any]:
    return {
        "plan_id": "0af3",
        "applied": applied,
        "changes": list(changes),
        "unchanged": 2,
        "impact": {**NO_IMPACT, **impact},
    }


def change(kind: str, key: str, before: Any = None, after: Any = None, own_id: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "object": "price", "id": own_id, "key": key, "from": before, "to": after}


NEW = change("create", "pro", None, {"currency": "eur", "unit_amount": 900, "unit_amount_decimal": "900", "name": ""})
MORE = change("update", "pro/notes", {"value": 10, "note": None}, {"value": {"a": True}}, own_id="price_1")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    return str(path)


def test_a_plan_sends_the_file_as_it_is_and_changes_nothing(terminal: Terminal, file: str) -> None:
    done = terminal.replying(ok(plan(NEW, MORE))).run("catalog", "plan", "notes", file)
    assert done.exit_code == 0
    [request] = terminal.asked
    assert (request.content.decode(), request.headers["Content-Type"]) == (CATALOG, "application/yaml")
    assert dict(request.url.params) == {"project_id": "notes", "dry_run": "true"}


def test_a_plan_shows_each_change_with_what_differs(terminal: Terminal, file: str) -> None:
    done = terminal.replying(ok(plan(NEW, MORE))).run("catalog", "plan", "notes", file)
    assert done.stdout.splitlines()[:2] == [
        "+ create price pro: currency: eur, unit_amount: 900",
        '~ update price pro/notes (price_1): value: 10 → {"a": true}',
    ]
    assert "2 to change, 2 stay. Plan 0af3." in done.stdout
    assert "No user gains or loses anything now (3 looked at)." in done.stdout


def test_a_plan_shows_who_gains_and_loses_what_and_whether_all_were_counted(terminal: Terminal, file: str) -> None:
    samples = {"gains": ["ann", "bob"], "loses": ["eve"], "changes": []}
    feature = {"feature": "export", "gains": 2, "loses": 1, "changes": 0, "samples": samples}
    planned = plan(NEW, customers=9000, complete=False, features=[feature])
    done = terminal.replying(ok(planned)).run("catalog", "plan", "notes", file)
    assert "(9000 looked at, at least: time was up before all were looked at)" in done.stdout
    assert done.stdout.splitlines()[-1].split(maxsplit=4) == ["export", "2", "1", "0", "gains: ann, bob; loses: eve"]


@pytest.mark.parametrize(("changes", "exit_code"), [([], 0), ([NEW], 4)])
def test_with_exit_code_a_plan_with_changes_ends_with_4(
    terminal: Terminal, file: str, changes: list[dict[str, Any]], exit_code: int
) -> None:
    done = terminal.replying(ok(plan(*changes))).run("catalog", "plan", "notes", file, "--exit-code", "--json")
    assert done.exit_code == exit_code
    assert done.json == plan(*changes)


def test_apply_applies_the_plan_that_it_showed(terminal: Terminal, file: str) -> None:
    replies = ok(plan(NEW)), ok(plan(NEW, applied=True))
    done = terminal.replying(*replies).run("catalog", "apply", "notes", file, "--yes")
    assert done.exit_code == 0
    assert "Applied: 1 changes." in done.stdout
    assert [dict(request.url.params) for request in terminal.asked] == [
        {"project_id": "notes", "dry_run": "true"},
        {"project_id": "notes", "plan_id": "0af3"},
    ]
    assert len(set(terminal.keys())) == 2


def test_apply_for_programs_prints_one_json_the_applied_plan(terminal: Terminal, file: str) -> None:
    replies = ok(plan(NEW)), ok(plan(NEW, applied=True))
    done = terminal.replying(*replies).run("catalog", "apply", "notes", file, "--yes", "--json")
    assert done.json == plan(NEW, applied=True)
    assert "+ create price pro" in done.stderr


def test_apply_asks_and_without_a_terminal_changes_nothing(terminal: Terminal, file: str) -> None:
    done = terminal.replying(ok(plan(NEW))).run("catalog", "apply", "notes", file, typed="y\n")
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert len(terminal.asked) == 1


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_where_there_is_nothing_to_change_nothing_is_asked_or_applied(
    terminal: Terminal, file: str, form: list[str]
) -> None:
    done = terminal.replying(ok(plan())).run("catalog", "apply", "notes", file, *form)
    assert done.exit_code == 0
    assert len(terminal.asked) == 1


UNFINISHED = problem(503, "catalog_unfinished", retryable=True)


def test_a_catalog_too_large_for_one_request_is_gone_on_with_by_what_is_left_of_its_plan(
    terminal: Terminal, file: str
) -> None:
    rest = {**plan(MORE), "plan_id": "1bf4"}
    replies = ok(plan(NEW, MORE)), UNFINISHED, ok(rest), ok({**rest, "applied": True})
    done = terminal.replying(*replies).run("catalog", "apply", "notes", file, "--yes")
    assert done.exit_code == 0
    assert "Applied: 2 changes." in done.stdout
    assert [request.url.params.get("plan_id") for request in terminal.asked] == [None, "0af3", None, "1bf4"]
    assert terminal.pauses == []
    assert terminal.keys()[1] != terminal.keys()[3]


def test_what_the_plan_did_not_show_is_not_applied_on_the_way(terminal: Terminal, file: str) -> None:
    done = terminal.replying(ok(plan(NEW)), UNFINISHED, ok(plan(NEW, MORE))).run(
        "catalog", "apply", "notes", file, "-y"
    )
    assert done.exit_code == 1
    assert "partly applied: 2 changes are left" in done.stderr
    assert len(terminal.asked) == 3


def test_a_catalog_that_never_gets_finished_is_given_up(terminal: Terminal, file: str) -> None:
    replies = [ok(plan(NEW)), *([UNFINISHED, ok(plan(NEW))] * 20)]
    assert terminal.replying(*replies).run("catalog", "apply", "notes", file, "--yes").exit_code == 1
    assert len(terminal.asked) == 41


def test_a_plan_of_before_is_refused_and_says_to_plan_again(terminal: Terminal, file: str) -> None:
    done = terminal.replying(ok(plan(NEW)), problem(409, "plan_outdated")).run("catalog", "apply", "notes", file, "-y")
    assert done.exit_code == 1
    assert "Plan again" in done.stderr


def test_a_json_file_is_sent_as_json_and_standard_input_as_yaml(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "catalog.json").write_text("{}")
    terminal.replying(ok(plan()))
    terminal.run("catalog", "plan", "notes", str(tmp_path / "catalog.json"))
    terminal.run("catalog", "plan", "notes", "-", typed="features: []")
    assert [request.headers["Content-Type"] for request in terminal.asked] == ["application/json", "application/yaml"]
    assert terminal.asked[1].content == b"features: []"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused_unsent(
    terminal: Terminal, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "c.yaml").write_bytes(content)
    assert terminal.run("catalog", "plan", "notes", str(tmp_path / "c.yaml")).exit_code == 2
    assert terminal.asked == []


def test_a_catalog_is_shown_as_the_file_that_would_make_it(terminal: Terminal) -> None:
    document = {"features": [{"code": "export", "name": "Für alle"}]}
    terminal.replying(ok(document))
    assert terminal.run("catalog", "show", "notes").stdout == "features:\n- code: export\n  name: Für alle\n"
    assert terminal.run("catalog", "show", "notes", "--json").json == document


def test_prices_are_listed_with_amount_and_interval(terminal: Terminal) -> None:
    price = {"id": "price_1", "product_id": "p", "lookup_key": None, "currency": "eur", "active": False}
    money = {"tiers_mode": None, "unit_amount": None, "unit_amount_decimal": "0.5"}
    rows = [
        {**price, **money, "recurring_interval": "month", "recurring_count": 3},
        {**price, **money, "tiers_mode": "volume", "recurring_interval": "year", "recurring_count": 1},
        {**price, **money, "unit_amount": 900, "recurring_interval": None, "recurring_count": None},
    ]
    done = terminal.replying(page(*rows)).run("catalog", "list", "prices", "notes")
    assert [line.split(maxsplit=3)[3].split() for line in done.stdout.splitlines()[1:]] == [
        ["0.5", "eur", "3", "months", "no"],
        ["volume", "year", "no"],
        ["900", "eur", "-", "no"],
    ]


IMPORTED = {"id": "prod_1", "name": "Pro", "imported": True, "prices": 2, "features": ["export"]}


def test_an_import_is_shown_first_and_done_with_yes(terminal: Terminal) -> None:
    terminal.replying(ok({"applied": False, "products": [IMPORTED]}))
    dry = terminal.run("catalog", "import", "notes", "--product", "prod_1", "--dry-run")
    assert terminal.sent() == {"project_id": "notes", "product_ids": ["prod_1"], "dry_run": True}
    assert dry.stdout.splitlines()[-1].split() == ["prod_1", "Pro", "2", "export", "new"]
    assert terminal.run("catalog", "import", "notes").exit_code == 2
    terminal.replying(ok({"applied": True, "products": [IMPORTED]}))
    assert terminal.run("catalog", "import", "notes", "--yes").exit_code == 0
    assert terminal.sent() == {"project_id": "notes"}
    assert [("dry_run" in terminal.sent(place)) for place in range(3)] == [True, True, False]
