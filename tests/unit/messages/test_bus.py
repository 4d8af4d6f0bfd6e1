import json
from typing import Any

import pytest

from billing.errors import Transient
from billing.messages.bus import MAX_DETAIL, Bus, announce_change
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from tests.support.scripted_http import Step, reply, scripted

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
SNAPSHOT = {"project_id": "notes", "user_id": "ann", "version": 3, "entitlements": [{"feature": "export"}]}


def announced(step: Step, snapshot: dict[str, Any]) -> dict[str, Any]:
    with scripted(step) as server:
        client = AwsClient(EVENTBRIDGE, 5.0, {**CREDENTIALS, "AWS_ENDPOINT_URL": server.url})
        announce_change(Bus(client, "billing"), snapshot, ("event", "evt_1"))
        (request,) = server.requests
        (entry,) = json.loads(request.partition(b"\r\n\r\n")[2])["Entries"]
        assert (entry["EventBusName"], entry["Source"]) == ("billing", "billing")
        assert entry["DetailType"] == "entitlements.changed"
        detail: dict[str, Any] = json.loads(entry["Detail"])
        return detail


def test_a_change_is_announced_whole_with_its_cause() -> None:
    detail = announced(reply(b'{"FailedEntryCount":0}'), SNAPSHOT)
    assert detail == {**SNAPSHOT, "cause": {"kind": "event", "id": "evt_1"}, "truncated": False}


def test_a_snapshot_too_large_for_an_event_goes_without_its_entitlements() -> None:
    detail = announced(reply(b'{"FailedEntryCount":0}'), {**SNAPSHOT, "entitlements": ["é" * MAX_DETAIL]})
    assert (detail["entitlements"], detail["truncated"], detail["version"]) == ([], True, 3)


@pytest.mark.parametrize(
    "step",
    [
        reply(b'{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure"}]}'),
        reply(b'{"FailedEntryCount":1,"Entries":[{}]}'),
        reply(b'{"__type":"ValidationException"}', 400),
    ],
)
def test_an_entry_that_was_not_taken_is_a_fault_though_the_status_be_200(step: Step) -> None:
    with pytest.raises(Transient, match="event bus"):
        announced(step, SNAPSHOT)
