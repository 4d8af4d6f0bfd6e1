"""A body that may be YAML where it says so: read into what JSON can say, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from billing.errors import Refused
from billing.http.body import json_object, object_of, sized
from billing.http.exchange import Request

KINDS = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


def json_or_yaml(request: Request, largest: int) -> dict[str, Any]:
    """As `json_object`, of JSON or, by its content type, of one YAML document without anchors, tags or doubled keys."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        return json_object(request, largest)
    return object_of(_as_json(sized(request, largest)))


def _as_json(raw: bytes) -> bytes:
    import yaml  # noqa: PLC0415  only this route needs it

    class Loader(yaml.SafeLoader):
        """Aliases could make a small body endless, and of two equal keys one would be lost."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not taken: write it out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            mapping = super().construct_mapping(node, deep=deep)
            if len(mapping) != len(node.value):
                raise yaml.YAMLError(f"a key stands twice, near line {node.start_mark.line + 1}")
            return mapping

    try:
        # the safe loader's own classes make nothing but plain values
        document = yaml.load(raw.decode(), Loader)  # noqa: S506
        return json.dumps(document, allow_nan=False).encode()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Refused("malformed_request", f"The body is not YAML ({error.problem}, line {line}).") from error
    except yaml.YAMLError as error:
        raise Refused("malformed_request", f"The body is not YAML that is taken here ({error}).") from error
    except (ValueError, TypeError, RecursionError) as error:
        mend = "put dates and other values that JSON has not into quotes"
        raise Refused("malformed_request", f"The body is not YAML in UTF-8 that JSON can say: {mend}.") from error
