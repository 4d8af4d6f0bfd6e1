import pytest

from billing.domain.keys import mint
from billing.errors import Refused
from billing.http.auth import bearer

KEY = mint("test", "notes", bytes(32))


@pytest.mark.parametrize("value", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER  {KEY} "])
def test_a_bearer_key_is_found(value: str) -> None:
    assert bearer([value]) == KEY


@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        [KEY],
        [f"Basic {KEY}"],
        [f"Bearer {KEY}x"],
        [f"Bearer {KEY[:-1]}"],
        [f"Bearer {KEY} {KEY}"],
        [f"Bearer {KEY}", f"Bearer {KEY}"],
        ["Bearer é"],
    ],
)
def test_anything_else_is_refused_without_repeating_it(values: list[str]) -> None:
    with pytest.raises(Refused, match="invalid_api_key") as caught:
        bearer(values)
    assert KEY not in str(caught.value)
