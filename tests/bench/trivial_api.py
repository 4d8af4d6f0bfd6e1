"""A function that does nothing but log and answer, behind the same emulator: what of a time is not ours."""

import io
import zipfile
from pathlib import Path

from infra.local.deploy import session

NAME = "trivial"


def deploy(endpoint_url: str, body: str | None = None) -> str:
    """The URL of an API whose every GET below it is answered with `body` by a function of its own."""
    lambdas = session().client("lambda", endpoint_url=endpoint_url)
    function = lambdas.create_function(
        FunctionName=NAME,
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/trivial",
        Handler="trivial.logging",
        Code={"ZipFile": _zipped(Path(__file__).with_name("trivial.py"))},
        Environment={"Variables": {} if body is None else {"BENCH_BODY": body}},
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
    apis.create_deployment(restApiId=api, stageName="measured")
    return f"{endpoint_url}/_aws/execute-api/{api}/measured"


def _zipped(source: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(source, source.name)
    return packed.getvalue()
