"""Answers held against docs/openapi.json, more strictly than a client may: nothing it does not tell of."""

import json
from functools import cache
from typing import Any

import jsonschema_rs

from infra.openapi import DOCUMENT
from tests.support.gateway import Answer

COMPONENTS = "#/components/"


def fault_of(route: str, answer: Answer) -> str | None:
    """What the contract of `GET /api/v1/…` does not tell of this answer; None where all is as told."""
    method, _, path = route.partition(" ")
    told = _contract()["paths"][path][method.lower()]["responses"].get(str(answer.status))
    if told is None:
        return f"status {answer.status}"
    missing = [name for name, header in told.get("headers", {}).items() if header.get("required")]
    if not {name.lower() for name in missing} <= set(answer.headers):
        return f"no header of {missing}"
    if "content" not in told:
        return f"a body: {answer.text}" if answer.text else None
    content = told["content"].get(answer.headers["content-type"].partition(";")[0])
    if content is None:
        return f"media type {answer.headers['content-type']}"
    if answer.status >= 400 and answer.code not in told["x-codes"]:
        return f"code {answer.code}"
    schema = {**_closed(content["schema"]), "components": _closed(_contract()["components"])}
    fault = next(jsonschema_rs.validator_for(schema, validate_formats=True).iter_errors(answer.body), None)
    return None if fault is None else f"{'/'.join(map(str, fault.instance_path))}: {fault.message}"


@cache
def _contract() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return found


def _closed(schema: Any) -> Any:
    """The schema, its objects without members that are not told. A problem may always carry more (RFC 9457)."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: part if name == "Problem" else _closed(part) for name, part in schema.items()}
    if isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed
