"""`billing bootstrap`: the first admin key of a deployment, by invoking the admin function with one's AWS rights."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from billing_cli.command import Session, command
from billing_cli.commands.profiles import keep, prepared
from billing_cli.faults import Fault, Misused, Problem, Refused, Unreachable
from billing_cli.mends import mend_of
from billing_cli.profiles import Profile, checked_key, checked_url

ROOT = typer.Typer()


@command(
    ROOT,
    "bootstrap",
    examples=[
        "billing bootstrap production --url https://billing.example --function-name billing-admin --name ann",
        "AWS_PROFILE=staging billing bootstrap staging --url https://… --function-name billing-admin --name ann",
    ],
)
def bootstrap(
    session: Session,
    environment: Annotated[str, typer.Argument(metavar="PROFILE", help="The profile to keep the key in.")],
    *,
    url: Annotated[str, typer.Option(help="The API's address, as far as /api/v1.", show_default=False)],
    name: Annotated[str, typer.Option(help="Who you are, for the audit log.", show_default=False)],
    function_name: Annotated[
        str, typer.Option(help="The admin function: an output of the deployment.", show_default=False)
    ],
    region: Annotated[str | None, typer.Option(help="The function's AWS region.", show_default="AWS's own")] = None,
    endpoint_url: Annotated[str | None, typer.Option(help="Another AWS, such as an emulator's.")] = None,
) -> None:
    """Make the first admin key of a deployment and keep it in a new profile. It is shown nowhere.

    Needs the right to invoke the function (lambda:InvokeFunction), by AWS's usual credentials. Refused while any admin
    key lives: those who have one make the others.
    """
    kept = prepared(session, environment)
    address = checked_url(url)
    with session.screen.working("Invoking the admin function …"):
        made = _invoke(function_name, name, region, endpoint_url)
    key = checked_key(str(made.get("key", "")))
    try:
        keep(session, kept, environment, Profile(address, key))
    except Misused as fault:
        session.screen.trouble(fault)
        session.screen.secret(key, "The key was made but could not be kept in a profile.")
        raise Fault("The profile was not made.", f"billing profile add {environment} --url {address}") from fault
    session.screen.note(f"{made.get('id')} is kept in {session.means.profiles_file}.")
    session.screen.note(f"Next: billing status --profile {environment}")


def _invoke(function_name: str, name: str, region: str | None, endpoint_url: str | None) -> dict[str, Any]:
    """What the function answers. Raises Refused, Unreachable, Misused."""
    import boto3  # noqa: PLC0415  half a second that no other command needs
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        client = boto3.session.Session(region_name=region).client("lambda", endpoint_url=endpoint_url)
        answer = client.invoke(FunctionName=function_name, Payload=json.dumps({"bootstrap": {"name": name}}).encode())
        document = json.loads(answer["Payload"].read())
    except ClientError as error:
        said = error.response["Error"]
        raise Misused(
            f"AWS refused: {said['Code']}: {said['Message']}", "Check --function-name, --region and your rights."
        ) from error
    except BotoCoreError as error:
        raise Unreachable(
            f"AWS was not reached: {error}", "Check your AWS credentials, --region and the network."
        ) from error
    if answer.get("FunctionError") or not isinstance(document, dict):
        raise Unreachable("The admin function failed.", "Its log tells why.")
    if "error" in document:
        problem = Problem(
            409, "The admin function refuses", str(document.get("detail")), str(document["error"]), "-", False
        )
        raise Refused(problem, mend_of(problem))
    return document
