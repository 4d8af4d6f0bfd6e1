"""Whatever happens in whatever order: no yes past its end, no version steps back, no revocation is unseen for long."""

from contextlib import ExitStack
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing_client import BillingClient, Check, LastKnown, Options
from billing_client.testing import FakeBilling

FRESH, STALE = 5, 10
USERS = ["ada", "bob"]
FEATURES = ["export", "seats"]

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["grant", "check", "check", "check", "many", "list", "take", "down", "up", "wait", "wait", "forget"]
        ),
        st.sampled_from(USERS),
        st.sampled_from(FEATURES),
        st.integers(1, 20),
    ),
    max_size=40,
)


class Life:
    """A fake service and a client of it; looks at each answer, and knows what was taken when."""

    def __init__(self, fake: FakeBilling, billing: BillingClient) -> None:
        self._fake = fake
        self._billing = billing
        self._outage = ExitStack()
        self._down = False
        self._versions = dict.fromkeys(USERS, 0)
        self._taken: dict[tuple[str, str], float] = {}

    def grant(self, user_id: str, feature: str, number: int) -> None:
        self._fake.grant(user_id, feature, number, until=self._fake.now + timedelta(seconds=number))
        self._taken.pop((user_id, feature), None)

    def take(self, user_id: str, feature: str, _: int) -> None:
        self._fake.take(user_id, feature)
        self._taken.setdefault((user_id, feature), self._fake.now.timestamp())

    def check(self, user_id: str, feature: str, _: int) -> None:
        self._look(self._billing.check(user_id, feature))

    def many(self, user_id: str, _feature: str, _: int) -> None:
        for check in self._billing.check_many([(user_id, each) for each in FEATURES]):
            self._look(check)

    def list(self, user_id: str, _feature: str, _: int) -> None:
        if not self._down:
            held = self._billing.entitlements(user_id)
            assert held.valid_to is None or self._fake.now < held.valid_to
            self._count(user_id, held.version)

    def wait(self, _user_id: str, _feature: str, seconds: int) -> None:
        self._fake.advance(seconds)

    def forget(self, user_id: str, _feature: str, _: int) -> None:
        self._billing.forget(user_id)

    def down(self, _user_id: str, _feature: str, number: int) -> None:
        if not self._down:
            self._outage.enter_context(self._fake.down("rate_limited" if number % 2 else "unreachable"))
            self._down = True

    def up(self, _user_id: str, _feature: str, _: int) -> None:
        self._outage.close()
        self._down = False

    def _look(self, check: Check) -> None:
        now = self._fake.now
        if check.source == "policy":
            assert not check.allowed
            return
        assert check.valid_to is None or now < check.valid_to
        self._count(check.user_id, check.version)
        taken = self._taken.get((check.user_id, check.feature))
        if check.allowed and taken is not None and check.source != "last_known":
            assert now.timestamp() - taken <= FRESH + STALE

    def _count(self, user_id: str, version: int) -> None:
        assert version >= self._versions[user_id]
        self._versions[user_id] = version


@given(steps)
def test_no_answer_breaks_a_promise(story: list[tuple[str, str, str, int]]) -> None:
    fake = FakeBilling()
    last = LastKnown(60)
    options = Options(fresh_for=FRESH, stale_for=STALE, denied_for=1, remembered=3, otherwise=last, lists=last)
    with fake.client(options) as billing:
        life = Life(fake, billing)
        for what, user_id, feature, number in story:
            getattr(life, what)(user_id, feature, number)
