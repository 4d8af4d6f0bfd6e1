"""Judges answers of the API by the SDK's description of them: strictly, nested objects too. For tests only."""

from functools import cache
from typing import Any

import jsonschema_rs

from infra.local.stripe_double.schemas import object_schema

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "type": {"enum": ["api_error", "card_error", "idempotency_error", "invalid_request_error"]},
                "message": {"type": "string"},
                **{
                    name: {"type": "string"}
                    for name in ("charge", "checkout_session", "code", "decline_code", "param", "request_log_url")
                },
                "payment_intent": {"type": "object"},
            },
            "required": ["type", "message"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
_LIST = {
    "type": "object",
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"type": "object", "required": ["object"]}},
        "has_more": {"type": "boolean"},
        "url": {"type": "string", "pattern": "^/v1/"},
    },
    "required": ["object", "data", "has_more", "url"],
    "additionalProperties": False,
}
_DELETED = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "object": {"type": "string"}, "deleted": {"const": True}},
    "required": ["id", "object", "deleted"],
    "additionalProperties": False,
}


def complaints(body: Any) -> list[str]:
    """What is wrong with an API answer or an event: unknown, absent or ill-typed fields, by their paths."""
    if "error" in body:
        return _judge("error", body)
    if body.get("deleted"):
        return _judge("deleted", body)
    found = _judge(body["object"], body)
    if body["object"] == "list":
        found += [complaint for entry in body["data"] for complaint in complaints(entry)]
    if body["object"] == "event":
        found += complaints(body["data"]["object"])
    return found


def kinds_in(body: Any) -> set[str]:
    """The object types in an answer, nested ones too."""
    if isinstance(body, list):
        return {kind for entry in body for kind in kinds_in(entry)}
    if not isinstance(body, dict):
        return set()
    own = {body["object"]} if isinstance(body.get("object"), str) and "id" in body else set()
    return own | {kind for value in body.values() for kind in kinds_in(value)}


def _judge(kind: str, body: Any) -> list[str]:
    return [
        f"{kind} {'.'.join(map(str, error.instance_path))}: {error.message[-300:]}"
        for error in _validator(kind).iter_errors(body)
    ]


@cache
def _validator(kind: str) -> Any:
    special = {"error": _ERROR, "list": _LIST, "deleted": _DELETED}
    return jsonschema_rs.validator_for(special.get(kind) or object_schema(kind))
