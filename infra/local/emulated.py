"""The CDK app's own assembly on this machine: deployed by the CDK's command line into MiniStack, with IAM at work.

Unlike in `stack.py`, nobody helps the deployment along: its custom resource migrates the database, functions hold the
credentials of their roles, and MiniStack refuses what those do not allow.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing.payments.client import connect
from billing.runtime import es256
from infra.local.console import Progress
from infra.local.deploy import Deployed, session, start_functions
from infra.local.double import ensure_webhook_endpoint, new_api_key, run_double
from infra.local.emulated_assembly import Machine, fit
from infra.local.emulated_cdk import Cdk
from infra.local.emulated_front import STAGE_NAME
from infra.local.install import Places, check_readiness, seed, signing_keys
from infra.local.kept import Kept, Stack
from infra.local.ministack import run_ministack
from infra.local.postgres import run_postgres
from infra.local.stack import Parts, describe

SETTINGS = {"AUTH": "true", "CLOUDTRAIL_RECORDING": "1", "CLOUDTRAIL_MAX_EVENTS": "1000000"}
"""MiniStack's: roles are held to their policies, and every call is noted."""


@dataclass(frozen=True)
class Synthesized:
    """`folder` is what `python -m infra.app` wrote, for the stage whose names begin with `prefix`."""

    folder: Path
    prefix: str


@contextmanager
def boot_emulated(root: Path, synthesized: Synthesized, progress: Progress) -> Iterator[Stack]:
    """Run the deployed system on new data in `root` until the block ends. Raises LocalStackError."""
    root.mkdir(parents=True)
    with ExitStack() as running:
        with progress.step("PostgreSQL, MiniStack, Stripe double"):
            parts = Parts(
                running.enter_context(run_postgres(root / "postgres", durable=False)),
                running.enter_context(run_ministack(root / "ministack", settings=SETTINGS)),
                running.enter_context(run_double(root)),
            )
        deployed = _deploy(root, synthesized, parts, progress)
        kept = _hand_over_secrets(parts, synthesized.prefix, deployed, progress)
        with progress.step("First start of every function"):
            start_functions(parts.aws.endpoint_url, synthesized.prefix)
        places = Places(parts.postgres.url, parts.aws.endpoint_url, parts.double.url)
        seed(root, kept, places, deployed, progress)
        check_readiness(deployed, progress)
        yield describe(kept, parts, deployed, synthesized.prefix)


def _deploy(root: Path, synthesized: Synthesized, parts: Parts, progress: Progress) -> Deployed:
    machine = Machine(
        database_url=parts.postgres.functions_url,
        owner_url=parts.postgres.url,
        aws_endpoint_url=parts.aws.endpoint_url,
        stripe_url=parts.double.url,
    )
    assembly = root / "assembly"
    with progress.step("What an emulator cannot take") as tell:
        tell(f"{len(fit(synthesized.folder, assembly, machine))} resources left out")
    cdk = Cdk(assembly, parts.aws.endpoint_url, root)
    with progress.step("cdk bootstrap"):
        cdk.bootstrap()
    with progress.step("cdk deploy --all") as tell:
        api_id = _api_id(cdk.deploy()[f"{synthesized.prefix}-api"]["ApiUrl"])
        url = f"{parts.aws.endpoint_url}/_aws/execute-api/{api_id}/{STAGE_NAME}"
        tell(url)
    prefix = synthesized.prefix
    queues = f"{parts.aws.endpoint_url}/000000000000/{prefix}-events"
    return Deployed(url, f"{prefix}-entitlements", queues, f"{queues}-dead", f"{prefix}-bus")


def _api_id(url: str) -> str:
    """Of `https://ID.execute-api.…`."""
    return url.removeprefix("https://").split(".", 1)[0]


def _hand_over_secrets(parts: Parts, prefix: str, deployed: Deployed, progress: Progress) -> Kept:
    """What an operator does after the first deployment (docs/deployment.md)."""
    kept = Kept(stripe_api_key=new_api_key(), signing_key=es256.generate())
    with progress.step("Webhook endpoint in Stripe; secrets") as tell:
        url = f"{deployed.api_url}/api/v1/webhooks/stripe"
        ensure_webhook_endpoint(connect(kept.stripe_api_key, parts.double.url), kept, url)
        client = session().client("secretsmanager", endpoint_url=parts.aws.endpoint_url)
        webhook = {"secrets": [kept.webhook_secret], "endpoints": [kept.webhook_endpoint]}
        stripe = {"stripe-api-key": {"api_key": kept.stripe_api_key}, "stripe-webhook": webhook}
        for name, value in {**stripe, "signing-keys": signing_keys(kept)}.items():
            client.put_secret_value(SecretId=f"{prefix}/{name}", SecretString=json.dumps(value))
        client.close()
        tell(kept.webhook_endpoint)
    return kept
