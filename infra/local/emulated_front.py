"""An HTTP API as a REST API: MiniStack's HTTP APIs pass over `Body`, and hand over payload format 2.0 at all times.

A REST API takes the same document and hands over format 1.0, which is what production's HTTP API is told to do. So the
routes, the aliases they lead to and the rights to invoke them are the HTTP front's own; the gateway itself is not.
"""

from collections.abc import Mapping
from typing import Any

STAGE_NAME = "live"

Resource = dict[str, Any]


def as_rest(resources: Mapping[str, Resource]) -> dict[str, Resource]:
    """The same resources, with a REST API of the same logical id in the place of each HTTP API."""
    found: dict[str, Resource] = {}
    for name, resource in resources.items():
        match resource["Type"]:
            case "AWS::ApiGatewayV2::Api":
                found[name] = _api(resource["Properties"]["Body"])
            case "AWS::ApiGatewayV2::Stage":
                api = resource["Properties"]["ApiId"]
                deployment = f"{name}Deployment"
                found[deployment] = {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": api}}
                found[name] = _stage(api, {"Ref": deployment})
            case _:
                found[name] = resource
    return found


def _api(document: Mapping[str, Any]) -> Resource:
    formats = {
        operation["x-amazon-apigateway-integration"]["payloadFormatVersion"]
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    if formats != {"1.0"}:
        raise ValueError(f"functions take payload format 1.0 alone, but the HTTP API is told to hand over {formats}")
    return {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": document["info"]["title"], "Body": document}}


def _stage(api: Any, deployment: Any) -> Resource:
    properties = {"RestApiId": api, "DeploymentId": deployment, "StageName": STAGE_NAME}
    return {"Type": "AWS::ApiGateway::Stage", "Properties": properties}
