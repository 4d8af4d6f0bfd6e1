"""Where runs live and die: the scene, the workers, and how the run ends that nobody disturbs."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from billing.cache import client
from billing.messages.bus import Bus
from billing.runtime.aws import EVENTBRIDGE, SECRETS_MANAGER, AwsClient
from billing.store.connection import close, transaction
from billing.usecases.manage_runs import Wanted, open_run
from billing.usecases.publish_outbox import Publisher
from billing.usecases.verify_audit import verify_all
from infra.local.stripe_double.double import StripeDouble
from tests.kills.life import Life
from tests.kills.scene import Scene, set_scene
from tests.kills.worker import Workers, run_workers
from tests.kills.world import World, look
from tests.simulation.gate import Address, Gate, Service
from tests.simulation.postgres_watch import PostgresWatch
from tests.support.aws import make_table
from tests.support.postgres import Databases, temporary_directory
from tests.support.shop import open_shop

AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Outcome:
    """`announced`: the newest version that subscribers heard of, by user. `faults`: what is wrong in any life."""

    world: World
    announced: dict[str, int]
    faults: list[str]

    def beside(self, undisturbed: "Outcome") -> list[str]:
        """What it has, and lacks, beside the life that nobody disturbed."""
        unsaid = [pk.rpartition("#")[2] for pk in self.world.mended_unsaid]
        expected = {user: version for user, version in undisturbed.announced.items() if user not in unsaid}
        unheard = [f"of {user}'s version {version} nobody heard" for user, version in expected.items()
                   if self.announced.get(user) != version]  # fmt: skip
        return [*self.faults, *unheard, *self.world.beside(undisturbed.world)]


@dataclass(frozen=True)
class Theatre:
    scene: Scene
    workers: Workers
    watch: PostgresWatch
    environ: dict[str, str]
    log: Path

    @contextmanager
    def life(self) -> Iterator[Life]:
        """A run that begins, on a copy of the scene."""
        with self.scene.copy() as url:
            upstreams: dict[Service, Address] = {
                "postgres": _address(url),
                "aws": _address(self.environ["AWS_ENDPOINT_URL"]),
                "stripe": _address(self.scene.shop.double.url),
            }
            yield Life(self.scene, self.workers, lambda: Gate(upstreams, self.watch), url, self.environ, self.log)

    def end(self, life: Life) -> Outcome:
        """What a life whose run is over comes to, once the minute's sweep was here; and what a second run finds."""
        life.play("outbox")
        world, heard = look(self.scene, life.url), life.announced()
        broken = [f"the audit of {chain.chain!r} is broken" for chain in verify_all(life.url) if not chain.ok]
        with transaction(life.url) as connection:
            run = open_run(connection, Wanted(), None, self.scene.now)
        close(life.url)
        life.work_off()
        found = life.ask("SELECT pass, kind, object_type, object_id FROM drifts WHERE run_id = %s", run.id)
        return Outcome(world, heard, [*broken, *(f"a second run finds {drift}" for drift in found)])


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


@contextmanager
def open_theatre(databases: Databases, aws_endpoint: str) -> Iterator[Theatre]:
    environ = {**AWS, "AWS_ENDPOINT_URL": aws_endpoint, "EVENT_BUS_NAME": "default", "STRIPE_LIVEMODE": "false"}
    with ExitStack() as stack:
        url = stack.enter_context(databases.fresh())
        environ["TABLE_NAME"] = stack.enter_context(make_table(aws_endpoint))
        environ["STRIPE_API_KEY_SECRET_ID"] = stack.enter_context(_stripe_key(environ))
        cache = client.connect(environ["TABLE_NAME"], environ=environ)
        stack.callback(cache.aws.close)
        bus = AwsClient(EVENTBRIDGE, 2, environ)
        stack.callback(bus.close)
        double = stack.enter_context(StripeDouble(seed=7))
        shop = open_shop(double, Publisher(url, cache, Bus(bus, "default")))
        scene = set_scene(databases, shop)
        connection = stack.enter_context(psycopg.connect(databases.server.maintenance_url, autocommit=True))
        log = stack.enter_context(temporary_directory("billing-kills-")) / "workers.log"
        yield Theatre(scene, stack.enter_context(run_workers()), PostgresWatch(connection), environ, log)


@contextmanager
def _stripe_key(environ: Mapping[str, str]) -> Iterator[str]:
    """The name of the secret."""
    with closing(AwsClient(SECRETS_MANAGER, 2, environ)) as secrets:
        name = f"stripe-{uuid.uuid4().hex[:8]}"
        secrets.call("CreateSecret", {"Name": name, "SecretString": '{"api_key": "sk_test_run"}'})
        yield name
        secrets.call("DeleteSecret", {"SecretId": name, "ForceDeleteWithoutRecovery": True})
