"""Put the service into running parts: schema, webhook endpoint, functions, demo project. Safe to repeat."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import urllib3

from billing.cache import client as cache
from billing.domain.token_keys import SigningKey, stored
from billing.messages.bus import Bus
from billing.payments.client import connect
from billing.runtime import es256
from billing.runtime.aws import EVENTBRIDGE, AwsClient
from billing.store.migrate import migrate
from billing.usecases.publish_outbox import Publisher
from infra.local.console import Progress
from infra.local.deploy import Deployed, api_url, deploy, start_functions
from infra.local.double import ensure_webhook_endpoint, new_api_key, redeliver_lost
from infra.local.kept import Kept, save_kept
from infra.local.ministack import REGION
from infra.local.processes import LocalStackError
from infra.local.seed import PROJECT_ID, ensure_key, seed_project
from infra.routes import FUNCTIONS

BUS_TIMEOUT = 5.0
"""Seconds for a call to EventBridge."""


@dataclass(frozen=True)
class Places:
    """Where the parts are. The functions and this process have to reach them by the same addresses.

    `functions_login` gives the URL by which the functions connect, once the schema is there; None: as the owner.
    """

    database_url: str
    aws_endpoint_url: str
    stripe_url: str
    functions_login: Callable[[], str] | None = None


def install(
    root: Path, kept: Kept, places: Places, progress: Progress, *, dependencies: Path | None = None
) -> Deployed:
    """Returns once the API is ready. `kept` gets keys and secrets, and is saved in `root` as soon as one is made.

    `dependencies`: installed packages to put into each function's package. Raises LocalStackError, or what a use
    case raises.
    """
    kept.stripe_api_key = kept.stripe_api_key or new_api_key()
    kept.signing_key = kept.signing_key or es256.generate()
    save_kept(root, kept)
    with progress.step("Migrations") as tell:
        tell(f"schema at level {migrate(places.database_url)}")
    with progress.step("Webhook endpoint in Stripe") as tell:
        url = f"{api_url(places.aws_endpoint_url)}/api/v1/webhooks/stripe"
        ensure_webhook_endpoint(connect(kept.stripe_api_key, places.stripe_url), kept, url)
        save_kept(root, kept)
        tell(kept.webhook_endpoint)
    with progress.step("Deployment of template-local.yaml") as tell:
        parameters = _parameters(kept, places)
        deployed = deploy(places.aws_endpoint_url, parameters, report=tell, dependencies=dependencies)
        tell(deployed.api_url)
    with progress.step("First start of every function") as tell:
        start_functions(places.aws_endpoint_url)
        tell(", ".join(FUNCTIONS))
    seed(root, kept, places, deployed, progress)
    check_readiness(deployed, progress)
    return deployed


def _parameters(kept: Kept, places: Places) -> dict[str, str]:
    return {
        "DatabaseUrl": places.functions_login() if places.functions_login else places.database_url,
        "AwsEndpointUrl": places.aws_endpoint_url,
        "StripeApiBase": places.stripe_url,
        "StripeApiKey": json.dumps({"api_key": kept.stripe_api_key}),
        "StripeWebhookSecrets": json.dumps({"secrets": [kept.webhook_secret], "endpoints": [kept.webhook_endpoint]}),
        "SigningKeys": json.dumps(signing_keys(kept)),
    }


def signing_keys(kept: Kept) -> dict[str, object]:
    """What a first `billing signing-key rotate` stores."""
    made = datetime.now(UTC).replace(microsecond=0)
    return stored((SigningKey(es256.public_jwk(kept.signing_key)["kid"], kept.signing_key, made, made),))


def seed(root: Path, kept: Kept, places: Places, deployed: Deployed, progress: Progress) -> None:
    """The demo project, its catalog, a key of its own and an admin's: noted in `kept`."""
    client = connect(kept.stripe_api_key, places.stripe_url)
    with progress.step("Events that an earlier run may have lost") as tell:
        # before the catalog makes new ones, which are on their way and not lost
        tell(f"{redeliver_lost(client, places.stripe_url, places.database_url)} sent again")
    with progress.step("Demo project and catalog") as tell:
        seed_project(_publisher(places, deployed), client)
        kept.project_key = ensure_key(places.database_url, kept.project_key, project_id=PROJECT_ID, name="local")
        kept.admin_key = ensure_key(places.database_url, kept.admin_key, project_id=None, name="local admin")
        save_kept(root, kept)
        tell(PROJECT_ID)


def _publisher(places: Places, deployed: Deployed) -> Publisher:
    environment = {
        "AWS_ENDPOINT_URL": places.aws_endpoint_url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    return Publisher(
        places.database_url,
        cache.connect(deployed.table_name, environ=environment),
        Bus(AwsClient(EVENTBRIDGE, BUS_TIMEOUT, environment), deployed.event_bus_name),
    )


def check_readiness(deployed: Deployed, progress: Progress) -> None:
    """Raises LocalStackError with what /ready answered, if that is not 200."""
    with progress.step("Readiness") as tell:
        answer = urllib3.request("GET", f"{deployed.api_url}/ready", timeout=60, retries=False)
        if answer.status != 200:
            raise LocalStackError(f"/ready answered {answer.status}: {answer.data.decode(errors='replace')}")
        tell("PostgreSQL, its schema and DynamoDB answer")
