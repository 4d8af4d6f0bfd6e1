"""Explanations of what really happened: a past instant is answered as it was known then, every change has its cause."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from billing.errors import Refused
from billing.store import customers, holdings
from billing.store.connection import transaction
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import CatalogDocument
from billing.usecases.explain_access import MOST_CHANGES, Asked, explain_access
from tests.support.shop import CATALOG, Shop

DAY = 86_400
FEATURES = ("export", "seats", "badge", "nonsense")
SAID = ("allowed", "value", "reason", "valid_to", "version", "as_of")
STORY = Path(__file__).parents[3] / "docs" / "explain.md"


@dataclass
class Life:
    """One user's life in the shop: what is done to them is applied at once, and every answer on the way is kept."""

    shop: Shop
    user_id: str = "ann"
    applied: set[bytes] = field(default_factory=set)
    answers: list[tuple[datetime, str, dict[str, Any]]] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return self.shop.worker.now()

    def settle(self) -> None:
        """Apply what is new in Stripe."""
        bodies = self.shop.events()
        self.shop.apply(body for body in bodies if body not in self.applied)
        self.applied.update(bodies)

    def wait(self, seconds: int = 5) -> None:
        """Time passes; what falls due in it is applied, and the answers of the new present are kept."""
        self.shop.double.control.advance_clock(advance_seconds=seconds)
        self.settle()
        self.shop.double.control.advance_clock(advance_seconds=5)
        for feature in FEATURES:
            self.answers.append((self.now(), feature, self.shop.check(self.user_id, feature)))
        self.shop.double.control.advance_clock(advance_seconds=5)

    def explain(self, feature: str, at: datetime | None = None) -> dict[str, Any]:
        return explain_access(
            self.shop.worker.database_url, Asked("notes", self.user_id, feature, at), self.now() + timedelta(seconds=1)
        )

    def charge(self) -> str:
        charges = self.shop.stripe.v1.charges.list({"customer": self.shop.customer(self.user_id), "limit": 1}).data
        return str(charges[0].id)

    def subscription(self) -> str:
        subscriptions = self.shop.stripe.v1.subscriptions.list({"customer": self.shop.customer(self.user_id)}).data
        return str(subscriptions[0].id)

    def grant(self, feature: str, value: Any, reason: str = "goodwill") -> str:
        """Access by an operator for ten days; a value of None denies."""
        grant_id = f"grant_{len(self.grants) + 1}"
        self.grants.append(grant_id)
        self._by_hand(
            "INSERT INTO grants (id, customer_id, project_id, feature_code, value, denial, valid_from, valid_to,"
            " reason, actor) VALUES (%(id)s, %(customer)s, 'notes', %(feature)s, %(value)s, %(denial)s,"
            " %(now)s, %(until)s, %(reason)s, 'olga')",
            grant_id,
            feature=feature,
            value=None if value is None else Jsonb(value),
            denial=value is None,
            until=self.now() + timedelta(days=10),
            reason=reason,
        )
        return grant_id

    def revoke(self, grant_id: str) -> None:
        self._by_hand("UPDATE grants SET revoked_at = COALESCE(revoked_at, %(now)s) WHERE id = %(id)s", grant_id)

    def _by_hand(self, sql: str, grant_id: str, **members: Any) -> None:
        now = self.now()
        with transaction(self.shop.worker.database_url) as connection:
            customer = customers.ensure(connection, "notes", self.user_id).id
            customers.lock(connection, customer)
            connection.execute(sql.encode(), {"id": grant_id, "customer": customer, "now": now, **members})
            holdings.record_change(connection, customer, cause_kind="grant", cause_id=grant_id, now=now)

    def edit_catalog(self, **changes: Any) -> None:
        """Change the first benefit or the monthly price's policy of pro."""
        document = CATALOG.model_dump()
        pro = document["products"][0]
        pro["benefits"][1].update({k: v for k, v in changes.items() if k == "value"})
        pro["prices"][0].update({k: v for k, v in changes.items() if k != "value"})
        edited = CatalogDocument.model_validate(document)
        apply_catalog(self.shop.worker.publisher, self.shop.stripe, "notes", edited, self.now)


@pytest.fixture
def life(shop: Shop) -> Life:
    life = Life(shop)
    life.wait()
    return life


def said(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in SAID}


# --- past instants ---------------------------------------------------------------------------------------------------


def act_at_random(life: Life, chance: random.Random) -> None:
    shop, control = life.shop, life.shop.double.control
    live = [s.id for s in shop.stripe.v1.subscriptions.list({"customer": shop.customer(life.user_id)}).data]
    actions: list[Callable[[], Any]] = [
        lambda: shop.buy(life.user_id, "badge"),
        lambda: shop.buy(life.user_id, chance.choice(["pro_monthly", "pro_yearly"]), chance.randint(1, 4)),
        lambda: life.grant("seats", chance.randint(1, 5)),
        lambda: life.grant(chance.choice(["export", "badge"]), None),
        lambda: life.edit_catalog(value=chance.randint(1, 9)),
        lambda: life.edit_catalog(on_full_refund=chance.choice(["revoke", "keep"])),
    ]
    if life.grants:
        actions.append(lambda: life.revoke(chance.choice(life.grants)))
    if live:
        subscription = chance.choice(live)
        end_it = {"cancel_at_period_end": chance.choice([True, False])}
        actions += [
            lambda: shop.stripe.v1.subscriptions.update(subscription, end_it),  # type: ignore[arg-type]
            lambda: shop.stripe.v1.subscriptions.cancel(subscription),
            lambda: control.set_card(shop.customer(life.user_id), chance.choice(["ok", "decline"])),
        ]
    if shop.stripe.v1.charges.list({"customer": shop.customer(life.user_id)}).data:
        actions += [lambda: money_goes_back(life, chance)] * 3
    chance.choice(actions)()


def money_goes_back(life: Life, chance: random.Random) -> None:
    """Refund or dispute a charge that is whole, or decide a dispute that is open."""
    control = life.shop.double.control
    open_ones = [d for d in life.shop.stripe.v1.disputes.list().data if d.status == "needs_response"]
    if open_ones:
        control.close_dispute(open_ones[0].id, won=chance.choice([True, False]))
        return
    charges = life.shop.stripe.v1.charges.list({"customer": life.shop.customer(life.user_id)}).data
    whole = [charge for charge in charges if charge.paid and not charge.amount_refunded and not charge.disputed]
    if not whole:
        return
    charge = chance.choice(whole)
    if chance.random() < 0.5:
        control.open_dispute(charge.id)
    else:
        control.refund(charge.id, amount=chance.choice([None, 100]))


@pytest.mark.parametrize("seed", range(4))
def test_explaining_any_instant_of_a_life_replays_the_answer_that_was_given_then(life: Life, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  a seeded life, no secret
    for _ in range(14):
        act_at_random(life, chance)
        life.wait(chance.choice([5, DAY, 9 * DAY, 31 * DAY]))

    verdicts = {(feature, answer["allowed"]) for _, feature, answer in life.answers}
    assert {("export", True), ("export", False)} <= verdicts
    for at, feature, answer in life.answers:
        assert said(life.explain(feature, at)) == said(answer), (feature, at)


def test_explaining_now_says_what_a_check_says(life: Life) -> None:
    life.shop.buy("ann", "pro_monthly", 3)
    life.wait()
    for feature in FEATURES:
        assert said(life.explain(feature)) == said(life.shop.check("ann", feature))


def test_an_instant_to_come_is_answered_by_what_is_known_now(life: Life) -> None:
    life.shop.buy("ann", "pro_monthly")
    life.wait()
    later = life.explain("export", life.now() + timedelta(days=60))
    assert (later["allowed"], later["reason"]) == (False, "expired")
    assert later["sources"][0]["rule"]["code"] == "period_and_leeway"


def test_before_anything_was_known_of_a_user_nothing_is_told(life: Life) -> None:
    before = life.now()
    life.wait()
    life.shop.buy("ann", "badge")
    life.wait()
    told = life.explain("badge", before)
    assert (told["allowed"], told["reason"], told["sources"], told["changes"]) == (False, "no_source", [], [])


def test_before_the_project_was_made_it_had_no_features(life: Life) -> None:
    told = life.explain("badge", datetime(2000, 1, 1, tzinfo=UTC))
    assert (told["reason"], told["version"], told["as_of"]) == ("feature_not_found", 0, None)


def test_an_unknown_user_is_explained_and_an_unknown_project_refused(life: Life) -> None:
    life.user_id = "nobody"
    told = life.explain("badge")
    assert told["rule"] == {"code": "no_source", "text": "Not allowed: nothing this user holds gives badge."}
    with pytest.raises(Refused) as refusal:
        explain_access(life.shop.worker.database_url, Asked("strangers", "ann", "badge"), life.now())
    assert refusal.value.code == "project_not_found"


# --- causes ----------------------------------------------------------------------------------------------------------


def test_each_change_names_the_event_that_caused_it(life: Life) -> None:
    life.shop.buy("ann", "badge")
    life.wait()
    life.shop.double.control.refund(life.charge())
    life.wait()
    told = life.explain("badge")
    bought, refunded = told["changes"]
    assert (bought["cause"]["kind"], bought["cause"]["type"]) == ("event", "checkout.session.completed")
    assert refunded["cause"]["type"] == "charge.refunded"
    assert refunded["version"] == told["version"]
    [source] = told["sources"]
    assert source["caused_by"] == refunded["cause"]
    assert source["rule"]["code"] == "full_refund_revokes"
    assert source["checkout_session"].startswith("cs_")


def test_a_grant_names_who_gave_it_and_why(life: Life) -> None:
    grant_id = life.grant("seats", 5, reason="a long outage")
    life.wait()
    [source] = life.explain("seats")["sources"]
    assert (source["id"], source["reason"], source["actor"]) == (grant_id, "a long outage", "olga")
    assert source["caused_by"] == {"kind": "grant", "id": grant_id, "reason": "a long outage", "actor": "olga"}


def test_a_denial_is_told_beside_the_source_it_beats(life: Life) -> None:
    life.shop.buy("ann", "badge")
    life.wait()
    grant_id = life.grant("badge", None, reason="stolen card")
    life.wait()
    told = life.explain("badge")
    assert (told["reason"], told["rule"]["code"]) == ("denied", "denial_beats_all")
    assert told["sources"][0]["live"] is True
    assert [(denial["id"], denial["live"], denial["reason"]) for denial in told["denials"]] == [
        (grant_id, True, "stolen card")
    ]


def test_a_catalog_edit_is_a_cause_too(life: Life) -> None:
    life.shop.buy("ann", "pro_monthly", 2)
    life.wait()
    life.edit_catalog(value=7)
    life.wait()
    told = life.explain("seats")
    assert told["value"] == 14
    assert told["changes"][-1]["what"] == ["product notes_pro gives seats: 1 a unit → 7 a unit"]
    assert told["changes"][-1]["cause"]["kind"] == "catalog"
    assert told["changes"][-1]["version"] == told["version"]
    assert {change["cause"]["kind"] for change in life.explain("badge")["changes"]} == {"event"}


def test_another_project_of_the_namespace_is_told_nothing_of_what_is_not_its_own(life: Life) -> None:
    url = life.shop.worker.database_url
    life.shop.rows("INSERT INTO projects (id, name, identity_namespace) VALUES ('maps', 'Maps', 'notes')")
    life.shop.buy("ann", "badge")
    life.wait()
    told = explain_access(url, Asked("maps", "ann", "badge"), life.now())
    assert (told["reason"], told["changes"]) == ("feature_not_found", [])


def test_the_latest_fifty_changes_are_told_and_the_first_of_them_against_the_one_before(life: Life) -> None:
    life.grant("seats", 1)
    for _ in range(MOST_CHANGES):
        life.grant("badge", None)
    told = life.explain("badge")
    assert len(told["changes"]) == MOST_CHANGES
    assert all(len(change["what"]) == 1 for change in told["changes"])
    assert [change["cause"]["id"] for change in told["changes"]] == life.grants[1:]
    # what happened before the changes told still names its origin
    assert life.explain("seats")["sources"][0]["caused_by"]["id"] == life.grants[0]


# --- the story in docs/explain.md ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """The story's ends: the answer at each of its turns, by date, and the one that tells it all."""

    turns: dict[str, dict[str, Any]]
    whole: dict[str, Any]


def tell(life: Life) -> Told:
    """Bought, refunded, bought again, disputed, granted meanwhile, lost, bought a third time: all at ten o'clock."""
    control = life.shop.double.control
    control.freeze_clock()

    def on(date: str, happens: Callable[[], Any]) -> None:
        control.advance_clock(to=int(datetime.fromisoformat(f"{date}T10:00:00+00:00").timestamp()))
        happens()
        life.settle()

    on("2030-01-01", lambda: life.shop.buy("ann", "badge"))
    on("2030-01-03", lambda: control.refund(life.charge()))
    on("2030-01-05", lambda: life.shop.buy("ann", "badge"))
    on("2030-01-10", lambda: control.open_dispute(life.charge()))
    on("2030-01-11", lambda: life.grant("badge", True, reason="ticket 4711: until the bank decides"))
    on("2030-01-20", lambda: control.close_dispute(life.shop.stripe.v1.disputes.list().data[0].id, won=False))
    on("2030-02-01", lambda: life.shop.buy("ann", "badge"))
    control.advance_clock(advance_seconds=60)
    days = ("2030-01-02", "2030-01-04", "2030-01-06", "2030-01-10", "2030-01-12", "2030-01-22", "2030-02-01")
    turns = {day: life.explain("badge", datetime.fromisoformat(f"{day}T10:00:30+00:00")) for day in days}
    return Told(turns, life.explain("badge"))


def turn_line(day: str, told: dict[str, Any]) -> str:
    return f"| {day} | {'yes' if told['allowed'] else 'no'} | `{told['reason']}` | {told['rule']['text']} |"


def change_line(change: dict[str, Any]) -> str:
    cause = change["cause"]
    why = f"{cause['actor']}: “{cause['reason']}”" if cause["kind"] == "grant" else f"`{cause['type']}`"
    return f"| {change['at'][:10]} | {'; '.join(change['what'])} | {why} |"


def test_the_story_in_the_docs_is_what_a_real_run_tells(life: Life) -> None:
    story = STORY.read_text()
    told = tell(life)
    assert [told.turns[day]["allowed"] for day in sorted(told.turns)] == [True, False, True, False, True, False, True]
    for line in [turn_line(day, answer) for day, answer in told.turns.items()]:
        assert line in story
    for line in map(change_line, told.whole["changes"]):
        assert line in story
    for source in told.whole["sources"]:
        assert f"| {source['label']} | {'yes' if source['live'] else 'no'} | {source['rule']['text']} |" in story
    [example] = re.findall(r"```json\n(.*?)```", story, re.DOTALL)
    assert nameless(json.loads(example)) == nameless(told.turns["2030-01-10"]["sources"][1])


def nameless(told: dict[str, Any]) -> str:
    """Without the ids that Stripe made up: they are others whenever anything else is asked of it before."""
    return re.sub(r"\b(cs_test|evt|li|price)_\w+", r"\1_", json.dumps(told, sort_keys=True))
