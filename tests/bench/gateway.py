"""A check over HTTP through the emulator's gateway ÷ a trivial handler that logs one line, there too: p50, p95, p99.

Wall time of one client with one connection, its requests to the two in turn; most of either is the emulator's own. A
handler that logs nothing would wait 50 ms for its stderr (the emulator's habit), so the reference logs one line.
"""

import io
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import urllib3

from infra.local.console import Terminal
from infra.local.kept import Stack
from infra.local.stack import boot
from tests.bench.check_scene import CREDENTIALS
from tests.bench.table import Row, medians, ratios
from tests.support.postgres import temporary_directory

CALLS = 100
"""Of each, in each pair."""

PERCENTILES = (50, 95, 99)


def rows(count: int) -> Iterator[Row]:
    with temporary_directory("billing-bench-") as directory, boot(directory / ".local", Terminal()) as running:
        stack = running.stack
        http = urllib3.PoolManager(timeout=10, retries=False)
        check = f"{stack.api_url}/api/v1/entitlements/check?user_id=ada&feature=export"
        ours = get(http, check, {"Authorization": f"Bearer {stack.project_key}"})
        theirs = get(http, deploy_trivial(stack))
        for call in (ours, theirs):
            for _ in range(20):
                call()
        seen = [turns(ours, theirs) for _ in range(count)]
    for place, percent in enumerate(PERCENTILES):
        measured = [(mine[place], other[place]) for mine, other in seen]
        first, second = medians(measured)
        name = f"check over HTTP, p{percent} ÷ a trivial logging handler"
        yield Row(name, ratios(measured), 1.3, note=f"{first:.1f} ms ÷ {second:.1f} ms")


def turns(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[list[float], list[float]]:
    """The percentiles of either, one request after the other in turn."""
    mine, other = zip(*[(ours(), theirs()) for _ in range(CALLS)], strict=True)
    return percentiles(mine), percentiles(other)


def percentiles(seen: tuple[float, ...]) -> list[float]:
    cuts = statistics.quantiles(seen, n=100, method="inclusive")
    return [cuts[percent - 1] for percent in PERCENTILES]


def get(http: urllib3.PoolManager, url: str, headers: Mapping[str, str] | None = None) -> Callable[[], float]:
    """Milliseconds of a request."""

    def call() -> float:
        began = time.perf_counter()
        answer = http.request("GET", url, headers=headers)
        if answer.status != 200:
            raise RuntimeError(f"{url} answered {answer.status}: {answer.data[:300]!r}")
        return (time.perf_counter() - began) * 1000

    return call


def deploy_trivial(stack: Stack) -> str:
    """Deploys the trivial handler behind a REST API of its own; its URL."""
    function = client("lambda", stack).create_function(
        FunctionName="bench-trivial",
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/bench",
        Handler="trivial.logging",
        Code={"ZipFile": zipped(Path(__file__).with_name("trivial.py"))},
    )
    gateway = client("apigateway", stack)
    api = gateway.create_rest_api(name="bench")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    place = {
        "restApiId": api,
        "resourceId": gateway.create_resource(restApiId=api, parentId=root, pathPart="trivial")["id"],
        "httpMethod": "GET",
    }
    gateway.put_method(**place, authorizationType="NONE")
    target = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"
    gateway.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=target)
    gateway.create_deployment(restApiId=api, stageName="bench")
    return f"{stack.aws_endpoint_url}/_aws/execute-api/{api}/bench/trivial"


def client(name: Any, stack: Stack) -> Any:
    return boto3.client(
        name,
        endpoint_url=stack.aws_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def zipped(source: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(source, source.name)
    return packed.getvalue()
