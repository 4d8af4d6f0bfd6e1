"""A function that does nothing but log and answer, behind the same emulator: what of a time is not ours."""

import io
import json
import zipfile
from collections.abc import Iterator
from itertools import repeat

from infra.local.deploy import session
from tests.load.asks import Ask

NAME = "load-trivial"

_HANDLER = """
import json, sys

def handler(event, context):
    print(json.dumps({"message": "request", "request_id": context.aws_request_id}), file=sys.stderr)
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": BODY}
"""


def deploy(endpoint_url: str, body: str) -> str:
    """The URL of an API whose every GET is answered with `body` by a function of its own."""
    lambdas = session().client("lambda", endpoint_url=endpoint_url)
    function = lambdas.create_function(
        FunctionName=NAME,
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/load",
        Handler="trivial.handler",
        Code={"ZipFile": _package(body)},
    )["FunctionArn"]
    apis = session().client("apigateway", endpoint_url=endpoint_url)
    api = apis.create_rest_api(name=NAME)["id"]
    root = apis.get_resources(restApiId=api)["items"][0]["id"]
    proxy = apis.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
    apis.put_method(restApiId=api, resourceId=proxy, httpMethod="GET", authorizationType="NONE")
    region = apis.meta.region_name
    apis.put_integration(
        restApiId=api,
        resourceId=proxy,
        httpMethod="GET",
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function}/invocations",
    )
    apis.create_deployment(restApiId=api, stageName="load")
    return f"{endpoint_url}/_aws/execute-api/{api}/load"


def asks() -> Iterator[Ask]:
    return repeat(Ask("trivial function", "GET", "/x"))


def _package(body: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("trivial.py", f"BODY = {json.dumps(body)}\n{_HANDLER}")
    return packed.getvalue()
