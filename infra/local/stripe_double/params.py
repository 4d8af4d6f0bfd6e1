"""Reading a request's parameters by the SDK's own description of them: types, enumerations, unknown names."""

import json
from typing import Any

from infra.local.stripe_double.errors import StripeFault, invalid
from infra.local.stripe_double.forms import Tree
from infra.local.stripe_double.schemas import Schema, params_fields, resolve

Params = dict[str, Any]


def read(class_name: str, tree: Tree, *, lenient: bool = False) -> Params:
    """The request's parameters, typed. StripeFault 400 names the first that is unknown, missing or malformed.

    `lenient`: the request speaks another version of the API, which may have parameters that the SDK does not know;
    on the top level they are taken as they come.
    """
    known = params_fields(class_name)
    foreign = {name: untyped(value) for name, value in tree.items() if lenient and name not in known["properties"]}
    own = {name: value for name, value in tree.items() if name not in foreign}
    return foreign | _object(own, known, "")


def untyped(value: Any) -> Any:
    """A value without a description: numbered groups are lists, all else stays text."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [untyped(item) for item in value.values()]
    return {key: untyped(item) for key, item in value.items()}


def _object(tree: Tree, schema: Schema, param: str) -> Params:
    known = schema["properties"]
    for name in tree:
        if name not in known:
            unknown = _inner(param, name)
            raise invalid(f"Received unknown parameter: {unknown}", param=unknown, code="parameter_unknown")
    for name in schema["required"]:
        if name not in tree:
            absent = _inner(param, name)
            raise invalid(f"Missing required param: {absent}.", param=absent, code="parameter_missing")
    return {name: _value(value, known[name], _inner(param, name)) for name, value in tree.items()}


def _inner(param: str, name: str) -> str:
    return f"{param}[{name}]" if param else name


def _value(value: Any, schema: Schema, param: str) -> Any:
    options = schema.get("anyOf", [schema])
    fault: StripeFault | None = None
    for option in sorted(options, key=_breadth):
        try:
            return _single(value, resolve(option), param)
        except StripeFault as error:
            fault = error  # the last option tried is the most general: its complaint is the telling one
    raise fault or invalid(f"Invalid value for {param}", param=param)


def _breadth(option: Schema) -> int:
    """Narrow types first: an enumeration before an integer before any string."""
    order = {"boolean": 1, "integer": 2, "number": 3, "string": 4, "object": 5, "array": 5}
    return 0 if "enum" in option else order.get(option.get("type", "object"), 5)


def _single(value: Any, schema: Schema, param: str) -> Any:
    if "enum" in schema:
        return _choice(value, schema["enum"], param)
    match schema.get("type"):
        case "object":
            return _group(value, schema, param)
        case "array":
            return _array(value, schema, param)
        case kind if not isinstance(value, str):
            raise invalid(f"Invalid {kind}: {json.dumps(value)}", param=param)
        case "boolean":
            return _choice(value, ["true", "false"], param) == "true"
        case kind:
            return _leaf(value, kind, param)


def _group(value: Any, schema: Schema, param: str) -> Params:
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=param)
    return _object(value, schema, param) if "properties" in schema else value


def _array(value: Any, schema: Schema, param: str) -> list[Any]:
    if not isinstance(value, dict) or not all(key.isdecimal() for key in value):
        raise invalid("Invalid array", param=param)
    numbered = sorted(value.items(), key=lambda pair: int(pair[0]))
    return [_value(item, schema["items"], f"{param}[{key}]") for key, item in numbered]


def _choice(value: Any, choices: list[str], param: str) -> Any:
    if value not in choices:
        *most, last = [choice or "an empty string" for choice in choices]
        listed = f"one of {', '.join(most)}, or {last}" if most else last
        raise invalid(f"Invalid {param}: must be {listed}", param=param)
    return value


def _leaf(value: str, kind: str | None, param: str) -> str | int | float:
    if kind == "integer":
        return _number(value, int, "integer", param)
    if kind == "number":
        return _number(value, float, "decimal", param)
    return _text(value, param)


def _number(value: str, kind: type[int] | type[float], name: str, param: str) -> int | float:
    try:
        return kind(value)
    except ValueError:
        raise invalid(f"Invalid {name}: {value}", param=param, code=f"parameter_invalid_{name}") from None


def _text(value: str, param: str) -> str:
    if value == "":
        raise invalid(
            f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; "
            f"however '{param}' cannot be unset. You should remove '{param}' from your request or supply a non-empty "
            "value.",
            param=param,
            code="parameter_invalid_empty",
        )
    return value
