"""`python -m infra.template` (`make template`): template-local.yaml, synthesized from what production is made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from aws_cdk import App

from infra.stacks.local import LocalStack

TEMPLATE = Path(__file__).resolve().parents[1] / "template-local.yaml"
HEAD = """\
# Written by `make template` from infra/stacks/local.py: change that, not this.
# Plain CloudFormation, deployed unchanged into MiniStack (infra/local) and into LocalStack 4.14.0 (docker-compose.yml).
"""


class _Short(str):
    """An intrinsic function in YAML's short form; `tag` is CloudFormation's."""

    __slots__ = ("tag",)
    tag: str


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  lists stand in
        super().increase_indent(flow, indentless=False)


def _represent(dumper: yaml.SafeDumper, value: _Short) -> yaml.ScalarNode:
    return dumper.represent_scalar(value.tag, str(value))


_Dumper.add_representer(_Short, _represent)


def text() -> str:
    """The whole file. Takes some ten seconds, most of them the CDK's own start."""
    app = App(analytics_reporting=False)
    stack = LocalStack(app, "billing")
    template: dict[str, Any] = app.synth().get_stack_by_name(stack.stack_name).template
    return HEAD + yaml.dump(shortened(template), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def shortened(value: Any) -> Any:
    """The same with !Ref, !GetAtt and !Sub for the long forms; what has no short form stays."""
    match value:
        case {"Ref": str(name)} if len(value) == 1:
            return _short("!Ref", name)
        case {"Fn::GetAtt": [str(name), str(attribute)]} if len(value) == 1:
            return _short("!GetAtt", f"{name}.{attribute}")
        case {"Fn::Join": ["", [*parts]]} if len(value) == 1 and all(_fits(part) for part in parts):
            return _short("!Sub", "".join(_within(part) for part in parts))
        case Mapping():
            return {key: shortened(each) for key, each in value.items()}
        case list():
            return [shortened(each) for each in value]
    return value


def _fits(part: Any) -> bool:
    return isinstance(part, str) or "Ref" in part or "Fn::GetAtt" in part


def _within(part: Any) -> str:
    """A part of a joined text, as !Sub takes it."""
    match part:
        case str():
            return part.replace("${", "${!")
        case {"Ref": name}:
            return f"${{{name}}}"
    return "${" + ".".join(part["Fn::GetAtt"]) + "}"


def _short(tag: str, what: str) -> _Short:
    short = _Short(what)
    short.tag = tag
    return short


if __name__ == "__main__":
    TEMPLATE.write_text(text())
