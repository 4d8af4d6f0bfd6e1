"""What a change of the contract (docs/openapi.json) breaks for those who use the API as it was: pure.

What is asked of callers may only become less, what they are answered only more. Choices and limits inside answers are
not compared: the contract itself says that new values may come.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_CEILINGS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_FLOORS = ("minimum", "exclusiveMinimum", "minLength", "minItems")


def breaks(old: Json, new: Json) -> list[str]:
    """One line for each break, in the order of the old contract; none where everybody goes on as before."""
    return [
        f"{method.upper()} {path}: {line}"
        for path, methods in old["paths"].items()
        for method, before in methods.items()
        for line in _operation(Told(before, old), Told(new["paths"].get(path, {}).get(method), new))
    ]


@dataclass(frozen=True)
class Told:
    """A part of a contract, and the whole that its references lead into."""

    part: Any
    whole: Json

    def at(self, part: Any) -> "Told":
        return Told(part, self.whole)

    def kinds(self) -> list[Json]:
        """The schema without references: one for each kind of value it takes."""
        schema: Json = self.part if isinstance(self.part, Mapping) else {}
        if "$ref" in schema:
            return self.at(self.whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]).kinds()
        either = schema.get("anyOf") or schema.get("oneOf")
        if either:
            return [kind for one in either for kind in self.at(_within(schema, one)).kinds()]
        types = schema.get("type", _TYPES)
        return [{**schema, "type": kind} for kind in ([types] if isinstance(types, str) else types)]


def _within(schema: Json, one: Json) -> Json:
    """One of a schema's alternatives, with what the schema says of all of them."""
    if "$ref" in one:
        return one
    common = {name: value for name, value in schema.items() if name not in {"anyOf", "oneOf"}}
    return {**common, **one, "required": [*schema.get("required", ()), *one.get("required", ())]}


# --- one operation ---------------------------------------------------------------------------------------------------


def _operation(before: Told, after: Told) -> Iterator[str]:
    if after.part is None:
        yield "is gone"
        return
    yield from _callers(before.part["security"], after.part["security"])
    for place in ("path", "query", "header"):
        asked = narrowed(_parameters(before, place), _parameters(after, place))
        yield from (f"{place} {fault.asked}" for fault in asked)
    yield from _body(before, after)
    yield from _answers(before, after)


def _callers(before: Sequence[Json], after: Sequence[Json]) -> Iterator[str]:
    """No schemes at all: open to everyone."""
    for scheme in before or [{}]:
        if after and scheme not in after:
            yield f"{next(iter(scheme), 'no key at all')} opens it no longer"


def _parameters(operation: Told, place: str) -> Told:
    """The parameters of one place, as an object that has no other members."""
    found = [one for one in operation.part.get("parameters", ()) if one["in"] == place]
    members = {one["name"]: one["schema"] for one in found}
    required = [one["name"] for one in found if one["required"]]
    return operation.at({"type": "object", "additionalProperties": False, "properties": members, "required": required})


def _body(before: Told, after: Told) -> Iterator[str]:
    was, now = ({} if told.part.get("requestBody") is None else told.part["requestBody"] for told in (before, after))
    if now.get("required") and not was.get("required"):
        yield "body is required now"
    for media_type, content in was.get("content", {}).items():
        if media_type not in now.get("content", {}):
            yield f"body as {media_type} is taken no longer"
            continue
        asked = narrowed(before.at(content["schema"]), after.at(now["content"][media_type]["schema"]))
        yield from (f"body {fault.asked}" for fault in asked)


def _answers(before: Told, after: Told) -> Iterator[str]:
    was, now = _successes(before.part), _successes(after.part)
    yield from (f"answers {status} no longer" for status in was if status not in now)
    yield from (f"may answer {status} now" for status in now if status not in was)
    for status in (status for status in was if status in now):
        for media_type, content in was[status].items():
            if media_type not in now[status]:
                yield f"answer {status} is {media_type} no longer"
                continue
            told = narrowed(after.at(now[status][media_type]["schema"]), before.at(content["schema"]), answer=True)
            yield from (f"answer {status} {fault.answered}" for fault in told)


def _successes(operation: Json) -> dict[str, Json]:
    return {status: told.get("content", {}) for status, told in operation["responses"].items() if int(status) < 400}


# --- schemas ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Values that the wider schema has and the narrower has not: said of what is asked, and of what is answered."""

    pointer: str
    asks: str
    answers: str

    @property
    def asked(self) -> str:
        return f"{self.pointer or '/'} {self.asks}"

    @property
    def answered(self) -> str:
        return f"{self.pointer or '/'} {self.answers}"

    def below(self, parent: str) -> "Fault":
        return Fault(f"/{parent}{self.pointer}", self.asks, self.answers)


Pairs = frozenset[tuple[str, str]]


def narrowed(wider: Told, narrower: Told, *, answer: bool = False, seen: Pairs = frozenset()) -> list[Fault]:
    """Where values of `wider` are none of `narrower`. `answer`: only what a reader of them trips over."""
    pair = (str(wider.part), str(narrower.part))
    if pair in seen:  # a schema inside itself
        return []
    faults: list[Fault] = []
    lost: list[str] = []
    others = narrower.kinds()
    for kind in wider.kinds():
        same = [other for other in others if _takes(other["type"], kind["type"])]
        compared: list[list[Fault]] = [
            list(_compared(wider.at(kind), narrower.at(other), answer=answer, seen=seen | {pair})) for other in same
        ]
        closest: list[Fault] = min(compared, key=len) if compared else []
        faults += closest
        lost += [] if same else [kind["type"]]
    if lost:
        types = ", ".join(sorted(set(lost)))
        faults.append(Fault("", f"takes {types} no longer", f"may be {types} now"))
    return list(dict.fromkeys(faults))


def _takes(kind: str, value: str) -> bool:
    return value == kind or (value, kind) == ("integer", "number")


def _compared(wider: Told, narrower: Told, *, answer: bool, seen: Pairs) -> Iterator[Fault]:
    """Two schemas of one type."""
    one, other = wider.part, narrower.part
    if not answer:
        yield from _values(one, other)
        yield from _limits(one, other)
    for name in ("format",) if answer else ("format", "pattern"):
        if name in other and one.get(name) != other[name]:
            yield Fault("", f"has to be of {name} {other[name]}", f"may be of another {name} than {other[name]}")
    yield from _members(one, other, answer=answer)
    for name, inner, outer in _inner(one, other):
        found = narrowed(wider.at(inner), narrower.at(outer), answer=answer, seen=seen)
        yield from (fault.below(name) for fault in found)


def _values(one: Json, other: Json) -> Iterator[Fault]:
    before, after = _choices(one), _choices(other)
    if after is None:
        return
    lost = ["any value"] if before is None else [str(value) for value in before if value not in after]
    if lost:
        yield Fault("", f"takes {', '.join(lost)} no longer", "may be something else now")


def _choices(schema: Json) -> Sequence[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _limits(one: Json, other: Json) -> Iterator[Fault]:
    for name in (*_CEILINGS, *_FLOORS):
        before, after = one.get(name), other.get(name)
        if after is None or (before is not None and (before <= after if name in _CEILINGS else before >= after)):
            continue
        yield Fault("", f"keeps to {name} {after} now", f"keeps to {name} {after} no longer")


def _members(one: Json, other: Json, *, answer: bool) -> Iterator[Fault]:
    ours, theirs = one.get("properties", {}), other.get("properties", {})
    for name in theirs if answer else ():
        if name not in ours:
            yield Fault(f"/{name}", "", "is gone")
    for name in other.get("required", ()):
        if name not in one.get("required", ()) and (name in ours or not answer):
            yield Fault(f"/{name}", "is required now", "may be missing now")
    if other.get("additionalProperties", True) is False:
        yield from (
            Fault(f"/{name}", "is refused now", "is new where nothing was to come") for name in ours.keys() - theirs
        )


def _inner(one: Json, other: Json) -> Iterator[tuple[str, Any, Any]]:
    """The schemas inside both: of members by name, of all other members, of a list's rows."""
    ours, theirs = one.get("properties", {}), other.get("properties", {})
    yield from ((name, ours[name], theirs[name]) for name in ours if name in theirs)
    for name in ("additionalProperties", "items"):
        if isinstance(other.get(name), Mapping) and one.get(name, True) is not False:
            yield "*", one.get(name, {}), other[name]
