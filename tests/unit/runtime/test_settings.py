from typing import NamedTuple

import pytest

from billing.runtime.settings import BadSettings, load


class Sample(NamedTuple):
    table_name: str
    livemode: bool
    limit: int
    stripe_api_base: str | None
    log_level: str = "INFO"


GOOD = {"TABLE_NAME": "t", "LIVEMODE": "false", "LIMIT": "7"}


def test_fields_are_filled_from_the_upper_case_names() -> None:
    assert load(Sample, {**GOOD, "STRIPE_API_BASE": "http://x"}) == Sample("t", False, 7, "http://x")


def test_every_missing_name_is_reported_at_once() -> None:
    with pytest.raises(BadSettings, match=r"TABLE_NAME is missing.*LIVEMODE is missing.*LIMIT is missing"):
        load(Sample, {})


def test_an_empty_required_setting_is_a_missing_one() -> None:
    with pytest.raises(BadSettings, match="TABLE_NAME is missing or empty"):
        load(Sample, {**GOOD, "TABLE_NAME": ""})


def test_an_empty_optional_setting_takes_its_default() -> None:
    settings = load(Sample, {**GOOD, "STRIPE_API_BASE": "", "LOG_LEVEL": ""})
    assert (settings.stripe_api_base, settings.log_level) == (None, "INFO")


@pytest.mark.parametrize(("name", "text"), [("LIVEMODE", "yes"), ("LIVEMODE", "True"), ("LIMIT", "many")])
def test_a_garbled_value_is_named_and_not_repeated(name: str, text: str) -> None:
    with pytest.raises(BadSettings, match=f"{name} must be") as caught:
        load(Sample, {**GOOD, name: text})
    assert text not in str(caught.value)


def test_a_field_type_that_settings_cannot_hold_is_a_mistake_of_the_author() -> None:
    class Odd(NamedTuple):
        ratio: float

    with pytest.raises(TypeError, match="use str"):
        load(Odd, {"RATIO": "1.5"})
