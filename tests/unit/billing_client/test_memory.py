"""The memory of answers: bounded, and no answer ever steps back behind a newer one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_client import Check, Options
from billing_client.memory import Kept, Memory
from billing_client.moments import NEVER, Clock, Moment
from billing_client.recall import Recall

USERS = ["ada", "bob", "eve"]
FEATURES = ["export", "seats"]

moves = st.lists(
    st.tuples(
        st.sampled_from(["keep", "raise", "forget", "find"]),
        st.sampled_from(USERS),
        st.sampled_from(FEATURES),
        st.integers(1, 6),
        st.integers(0, 9),
    ),
    max_size=60,
)


def check(user_id: str, feature: str, version: int) -> Check:
    return Check(True, True, "entitled", None, user_id, feature, version, datetime.now(UTC))


def kept(answer: Check, sent: float) -> Kept[Check]:
    return Kept(answer, Moment(sent, sent), NEVER, NEVER, NEVER)


@given(moves)
def test_no_answer_steps_back_behind_a_version_that_was_seen(steps: list[tuple[str, str, str, int, int]]) -> None:
    memory = Memory(100)
    seen = dict.fromkeys(USERS, 0)
    forgotten = dict.fromkeys(USERS, -1)
    for move, user_id, feature, version, at in steps:
        match move:
            case "keep":
                memory.keep(user_id, feature, kept(check(user_id, feature, version), at))
                if at >= forgotten[user_id]:
                    seen[user_id] = max(seen[user_id], version)
            case "raise":
                memory.raise_floor(user_id, version)
                seen[user_id] = max(seen[user_id], version)
            case "forget":
                memory.forget(user_id, Moment(at, at))
                forgotten[user_id] = at
        found = memory.find(user_id, feature)
        assert found is None or found.answer.version >= seen[user_id]
        assert found is None or found.sent.monotonic >= forgotten[user_id]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=80), st.integers(1, 6))
def test_there_are_never_more_answers_than_allowed(asked: list[tuple[int, int]], limit: int) -> None:
    memory = Memory(limit)
    for user, feature in asked:
        memory.keep(str(user), str(feature), kept(check(str(user), str(feature), 1), 0))
        assert memory.find(str(user), str(feature)) is not None
        assert len(memory) <= limit


def test_the_longest_unused_goes_first() -> None:
    memory = Memory(2)
    for user_id in ("ada", "bob"):
        memory.keep(user_id, "export", kept(check(user_id, "export", 1), 0))
    memory.find("ada", "export")
    memory.keep("eve", "export", kept(check("eve", "export", 1), 0))

    assert [user_id for user_id in USERS if memory.find(user_id, "export")] == ["ada", "eve"]


def test_only_one_asks_again_at_a_time() -> None:
    memory = Memory(10)

    assert memory.claim("ada", "export")
    assert not memory.claim("ada", "export")
    assert memory.claim("ada", "seats")
    memory.release("ada", "export")
    assert memory.claim("ada", "export")


class Clocks:
    monotonic = 1_000.0
    wall = 1_800_000_000.0


@pytest.mark.parametrize("moved", [(5.0, -3600.0), (0.0, 5.0), (5.0, 5.0)], ids=["set back", "frozen", "as it should"])
def test_neither_a_clock_set_back_nor_one_that_stood_still_lengthens_an_answer(moved: tuple[float, float]) -> None:
    clocks = Clocks()
    recall = Recall(Options(fresh_for=5, stale_for=0), Clock(lambda: clocks.monotonic, lambda: clocks.wall))
    recall.learn_check(check("ada", "export", 1), Moment(clocks.monotonic, clocks.wall), served=None)
    assert recall.check("ada", "export")

    clocks.monotonic += moved[0]
    clocks.wall += moved[1]

    assert recall.check("ada", "export") is None


@pytest.mark.parametrize(
    "wrong", [{"fresh_for": -1}, {"stale_for": -1}, {"denied_for": -1}, {"remembered": 0}], ids=str
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)  # type: ignore[arg-type]  # one option each
