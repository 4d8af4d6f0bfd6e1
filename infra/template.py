"""`python -m infra.template` (`make template`): the routes of template-local.yaml, written from the route table."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from infra.routes import ROUTES, Route

TEMPLATE = Path(__file__).resolve().parents[1] / "template-local.yaml"
_BEGIN = "        paths:\n"


def with_routes(text: str, routes: Iterable[Route] = ROUTES) -> str:
    """The template with exactly these routes, in their order."""
    head, _, tail = text.partition(_BEGIN)
    if not tail:
        raise LookupError(f"the template has no line {_BEGIN!r} to put the routes behind")
    return head + _BEGIN + "\n".join(_paths(tuple(routes))) + tail[tail.index("\n\n") :]


def logical_id(function: str) -> str:
    """How the template calls a folder of `functions/`."""
    return "".join(word.capitalize() for word in function.split("_")) + "Function"


def _paths(routes: Sequence[Route]) -> Iterator[str]:
    places = {path: place for place, path in reversed(list(enumerate(route.path for route in routes)))}
    for path, group in groupby(sorted(routes, key=lambda route: places[route.path]), lambda route: route.path):
        yield f"          {path}:"
        for route in group:
            arn = f"${{{logical_id(route.function)}.Arn}}"
            yield f"            {route.method.lower()}:"
            yield "              x-amazon-apigateway-integration:"
            yield "                type: aws_proxy"
            yield "                httpMethod: POST"
            uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/" + arn + "/invocations"
            yield f"                uri: !Sub {uri}"


if __name__ == "__main__":
    TEMPLATE.write_text(with_routes(TEMPLATE.read_text()))
