import json

import pytest

from billing.errors import BillingError, FieldFault, Permanent, Refused, Transient
from billing.http.problems import KINDS, problem, reference


def test_a_problem_document_has_the_standards_members_and_ours() -> None:
    error = Refused("invalid_request", "Mend it.", fields=(FieldFault("/line_items/0/quantity", "must be at least 1"),))
    status, headers, body = problem(error, "req-1")
    assert (status, headers["content-type"], headers["cache-control"]) == (422, "application/problem+json", "no-store")
    assert json.loads(body) == {
        "type": "urn:billing:problem:invalid_request",
        "title": "The request is not valid",
        "status": 422,
        "detail": "Mend it.",
        "code": "invalid_request",
        "request_id": "req-1",
        "retryable": False,
        "errors": [{"pointer": "/line_items/0/quantity", "detail": "must be at least 1"}],
    }


def test_extra_members_are_added_and_never_replace_the_standard_ones() -> None:
    error = Refused("already_subscribed", "Use the portal.", extra={"portal": "/api/v1/portal", "status": "7"})
    document = json.loads(problem(error, "r")[2])
    assert (document["portal"], document["status"]) == ("/api/v1/portal", 409)


def test_a_transient_fault_says_when_to_try_again() -> None:
    status, headers, body = problem(Transient("unavailable", "Try again.", retry_after=7), "r")
    assert (status, headers["retry-after"]) == (503, "7")
    assert json.loads(body)["retryable"] is True


def test_a_refused_key_is_told_how_to_authenticate() -> None:
    assert problem(Refused("invalid_api_key", "x"), "r")[1]["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Transient("some_new_fault", "x"), 503),
        (Permanent("unknown_price", "x"), 500),
        (Refused("forgotten_in_the_table", "x"), 500),
        (BillingError("internal", "x"), 500),
    ],
)
def test_a_code_without_a_row_is_our_defect_unless_it_is_transient(error: BillingError, status: int) -> None:
    assert problem(error, "r")[0] == status


def test_every_kind_says_how_to_mend_it_and_only_server_and_waiting_faults_are_retryable() -> None:
    for code, kind in KINDS.items():
        assert kind.mend.endswith("."), code
        assert not kind.retryable or kind.status in (409, 429, 503), code


def test_the_reference_lists_every_code() -> None:
    text = "\n".join(reference())
    assert all(f"| `{code}` | {kind.status} |" in text for code, kind in KINDS.items())
