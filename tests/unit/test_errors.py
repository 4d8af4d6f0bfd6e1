"""The exception tree and its promises."""

import pytest

from billing import errors
from billing.errors import BillingError, FieldFault, Permanent, Refused, Transient


def test_the_module_exports_its_exception_tree_and_nothing_else() -> None:
    assert set(errors.__all__) == {"BillingError", "FieldFault", "Permanent", "Refused", "Transient"}


@pytest.mark.parametrize("kind", [Refused, Transient, Permanent])
def test_each_failure_carries_its_code_and_how_to_mend_it(kind: type[BillingError]) -> None:
    fault = kind("some_code", "Do this to mend it.")

    assert isinstance(fault, BillingError)
    assert (fault.code, fault.detail) == ("some_code", "Do this to mend it.")
    assert str(fault) == "some_code: Do this to mend it."


def test_the_three_failures_are_never_taken_for_one_another() -> None:
    kinds = [Refused, Transient, Permanent]

    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)


def test_a_fault_is_placed_by_the_steps_of_its_pointer() -> None:
    assert FieldFault.at(("products", 0, "a/b~c"), "no") == FieldFault("/products/0/a~1b~0c", "no")


def test_a_refusal_names_the_bad_fields_and_more_for_the_caller() -> None:
    fields = (FieldFault("/success_url", "its origin is none of the project's"),)
    refusal = Refused("invalid_request", "Mend the fields.", fields=fields, extra={"portal": "/api/v1/portal"})

    assert refusal.fields == fields
    assert refusal.extra == {"portal": "/api/v1/portal"}


def test_a_refusal_of_no_field_in_particular_names_none() -> None:
    refusal = Refused("project_suspended", "Ask an operator.")

    assert refusal.fields == ()
    assert refusal.extra == {}


def test_a_transient_fault_says_when_to_try_again_where_that_is_known() -> None:
    assert Transient("unavailable", "Try again.", retry_after=3).retry_after == 3
    assert Transient("unavailable", "Try again.").retry_after is None
