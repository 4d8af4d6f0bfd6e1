"""What the HTTP and the REST front share: the routes as an API document, and the right to invoke what answers them."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.fleet import function
from infra.routes import ROUTES, Route

ACCESS_LOG = json.dumps(
    {
        "requestId": "$context.requestId",
        "time": "$context.requestTime",
        "method": "$context.httpMethod",
        "status": "$context.status",
        "latency": "$context.responseLatency",
        "bytes": "$context.responseLength",
    }
)
"""One line a request. No path and no query: they name users. The function's own line has the route."""


def document(
    title: str,
    functions: Mapping[str, lambda_.IFunction],
    *,
    payload: str | None = None,
    routes: Sequence[Route] = ROUTES,
) -> dict[str, Any]:
    """OpenAPI with API Gateway's integrations, one for each route. `payload`: the format's version, for an HTTP API."""
    places = {path: place for place, path in reversed(list(enumerate(route.path for route in routes)))}
    ordered = sorted(routes, key=lambda route: places[route.path])
    paths = {
        path: {route.method.lower(): _operation(functions[route.function], payload) for route in group}
        for path, group in groupby(ordered, lambda route: route.path)
    }
    return {"openapi": "3.0.1", "info": {"title": title, "version": "1"}, "paths": paths}


def _operation(answering: lambda_.IFunction, payload: str | None) -> dict[str, Any]:
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": _uri(answering)}
    return {"x-amazon-apigateway-integration": integration | ({"payloadFormatVersion": payload} if payload else {})}


def _uri(answering: lambda_.IFunction) -> str:
    stack = Stack.of(answering)
    path = f"lambda:path/2015-03-31/functions/{answering.function_arn}/invocations"
    return f"arn:{stack.partition}:apigateway:{stack.region}:{path}"


def let_invoke(scope: Construct, folder: str, answering: lambda_.IFunction, source_arn: str | None) -> None:
    """API Gateway may invoke the function; with a `source_arn`, for that API alone."""
    lambda_.CfnPermission(
        scope,
        function(folder).logical_id.replace("Function", "Permission"),
        action="lambda:InvokeFunction",
        function_name=answering.function_arn,
        principal="apigateway.amazonaws.com",
        source_arn=source_arn,
    )
