"""JSON Schemas of Stripe's objects and request parameters, derived from the installed SDK's own annotations.

`object_schema("subscription")` and `params_schema("SubscriptionCreateParams")` are self-contained and strict: no
unknown field, every field present that the SDK does not call optional, enumerations closed. The double builds its
objects and reads its requests by them; the contract tests judge every answer by them.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from types import ModuleType, UnionType
from typing import Any, ForwardRef, Literal, NotRequired, Union, get_args, get_origin

import stripe.params
from stripe._list_object import ListObject
from stripe._object_classes import OBJECT_CLASSES
from stripe._request_options import RequestOptions
from stripe._stripe_object import StripeObject, UntypedStripeObject
from typing_extensions import is_typeddict

Schema = dict[str, Any]

_SCALARS: Mapping[Any, Schema] = {
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    str: {"type": "string"},
    Decimal: {"type": "string", "format": "decimal"},
    type(None): {"type": "null"},
    Any: {},
}
# What a `$ref` can name: the class, and its definition once somebody asked for it.
_KINDS: dict[str, Any] = {}


@cache
def object_schema(name: str) -> Schema:
    """The schema of the object type `name` ("checkout.session") with every type it can hold in `$defs`.

    Raises KeyError if the SDK has no such object.
    """
    return _closed(_schema(_object_class(name)))


@cache
def params_schema(name: str) -> Schema:
    """The schema of a request's parameters by the SDK's class name ("checkout.SessionCreateParams").

    Raises AttributeError if the SDK has no such class.
    """
    return _closed(_schema(_params_class(name)))


def object_fields(name: str) -> Schema:
    """The definition of an object type alone: `$ref`s in it are for `definition`."""
    return resolve(_schema(_object_class(name)))


def params_fields(name: str) -> Schema:
    """The definition of a request's parameters alone: `$ref`s in it are for `definition`."""
    return resolve(_schema(_params_class(name)))


def resolve(schema: Schema) -> Schema:
    """The definition that a `$ref` names; any other schema as it is."""
    return _definition(schema["$ref"].removeprefix("#/$defs/")) if "$ref" in schema else schema


@cache
def _definition(name: str) -> Schema:
    return _fields(_KINDS[name])


def _object_class(name: str) -> Any:
    return _member(*OBJECT_CLASSES[name])


def _params_class(name: str) -> Any:
    *folder, class_name = name.split(".")
    return _member(".".join([stripe.params.__name__, *folder]), class_name)


def _closed(schema: Schema) -> Schema:
    """`schema` with the definitions it refers to, and those they refer to."""
    wanted = _references(schema)
    defs: dict[str, Schema] = {}
    while wanted:
        name = wanted.pop()
        defs[name] = _definition(name)
        wanted |= _referred_by(name) - defs.keys()
    return {**schema, "$defs": defs}


@cache
def _referred_by(name: str) -> frozenset[str]:
    return frozenset(_references(_definition(name)))


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {name for part in schema for name in _references(part)}
    if not isinstance(schema, dict):
        return set()
    if isinstance(schema.get("$ref"), str):
        return {schema["$ref"].removeprefix("#/$defs/")}
    return {name for part in schema.values() for name in _references(part)}


def _schema(kind: Any, module: ModuleType | None = None) -> Schema:
    """The schema of one annotation, read in the module where it stands."""
    if isinstance(kind, ForwardRef | str):
        code = kind if isinstance(kind, str) else kind.__forward_arg__
        # The SDK's own source text: nothing from outside is evaluated.
        return _schema(eval(code, {}, _Names(module)), module)  # noqa: S307  # type: ignore[arg-type]
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if get_origin(kind) is not None:
        return _generic(get_origin(kind), get_args(kind), module)
    if is_typeddict(kind):
        return _reference(f"{kind.__module__}.{kind.__name__}", kind)  # SessionCreateParams is two classes
    if issubclass(kind, UntypedStripeObject):
        return {"type": "object"}
    if issubclass(kind, StripeObject):
        name = kind.__dict__.get("OBJECT_NAME")
        return _reference(name, kind) if name else _fields(kind)
    raise TypeError(f"no JSON Schema for the annotation {kind!r} in {module}: teach schemas.py to read it")


def _generic(origin: Any, args: tuple[Any, ...], module: ModuleType | None) -> Schema:
    if origin in (Union, UnionType):
        return _union(args, module)
    if origin is Literal:
        return {"enum": list(args)}
    if origin is UntypedStripeObject:
        return {"type": "object"}
    inner = _schema(args[-1], module)  # of a dict's two, the value's
    shapes: dict[Any, Schema] = {
        NotRequired: inner,
        list: {"type": "array", "items": inner},
        ListObject: list_schema(inner),
        dict: {"type": "object", "additionalProperties": inner},
    }
    return shapes[origin]


def _union(args: tuple[Any, ...], module: ModuleType | None) -> Schema:
    """A union; the SDK's open enumerations (`Literal[…] | str`) are closed: the double sends only known values."""
    if str in args and any(get_origin(arg) is Literal and get_args(arg) != ("",) for arg in args):
        args = tuple(arg for arg in args if arg is not str)
    options = [_schema(arg, module) for arg in args]
    return options[0] if len(options) == 1 else {"anyOf": options}


def list_schema(items: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": items},
            "has_more": {"type": "boolean"},
            "url": {"type": "string"},
        },
        "required": ["object", "data", "has_more", "url"],
        "additionalProperties": False,
    }


def _reference(name: str, kind: Any) -> Schema:
    _KINDS[name] = kind  # read when somebody asks: types refer to each other in circles
    return {"$ref": f"#/$defs/{name}"}


def _fields(kind: Any) -> Schema:
    module = importlib.import_module(kind.__module__)
    own = {
        name: hint
        for name, hint in inspect.get_annotations(kind).items()
        if not str(hint).startswith("typing.ClassVar")
        and not (is_typeddict(kind) and name in RequestOptions.__annotations__)
    }
    required = [name for name, hint in own.items() if not _is_optional(hint)]
    return {
        "type": "object",
        "properties": {_wire_name(kind, name): _schema(hint, module) for name, hint in own.items()},
        "required": [_wire_name(kind, name) for name in required],
        "additionalProperties": False,
    }


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) is NotRequired or (get_origin(hint) is Union and type(None) in get_args(hint))


def _wire_name(kind: Any, attribute: str) -> str:
    """The field's name in JSON: the SDK renames those that are Python keywords (`from_`)."""
    remapped: dict[str, str] = getattr(kind, "_field_remappings", {})
    return next((wire for wire, name in remapped.items() if name == attribute), attribute)


class _Names(Mapping[str, Any]):
    """What a quoted annotation can name: the module's globals and its `if TYPE_CHECKING` imports."""

    def __init__(self, module: ModuleType | None) -> None:
        assert module is not None, "a quoted annotation stands in a module"  # noqa: S101  (a fault of schemas.py)
        self._globals = vars(module)
        self._imports = _typing_imports(module.__name__)

    def __getitem__(self, name: str) -> Any:
        if name in self._globals:
            return self._globals[name]
        if name in self._imports:
            return _member(*self._imports[name])
        return vars(importlib.import_module("builtins"))[name]

    def __iter__(self) -> Any:
        return iter({**self._globals, **self._imports})

    def __len__(self) -> int:
        return len({**self._globals, **self._imports})


@cache
def _typing_imports(module: str) -> dict[str, tuple[str, str]]:
    """Name → (module, member) for what the head of the module imports, `if TYPE_CHECKING` included."""
    head = re.split(
        r"^(?:@|class )", inspect.getsource(importlib.import_module(module)), maxsplit=1, flags=re.MULTILINE
    )[0]
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(ast.parse(head))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def _member(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)
