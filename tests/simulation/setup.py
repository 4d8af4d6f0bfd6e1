"""All that one seed needs, fresh: a database, a table, a Stripe, two projects with catalogs and keys, the actors."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from billing.domain import keys
from billing.payments.client import connect
from billing.store.connection import close, transaction
from billing.store.connection import connect as connect_store
from billing.store.keys import insert_key
from billing.usecases.apply_catalog import apply_catalog
from billing.usecases.catalog_document import CatalogDocument
from billing.usecases.ensure_customer import ensure_customer
from billing.usecases.manage_projects import create_project
from infra.local.stripe_double.double import StripeDouble
from tests.simulation import catalog
from tests.simulation.actors import Actor, Site, make_parts
from tests.simulation.book import Book
from tests.simulation.deliveries import Queue
from tests.simulation.faults import Plan
from tests.simulation.gate import Address, Gate, Service
from tests.simulation.operators import Office
from tests.simulation.postgres_watch import PostgresWatch
from tests.simulation.run import Simulation
from tests.simulation.servers import Servers
from tests.simulation.stage import Stage
from tests.simulation.stripe_api import StripeApi
from tests.simulation.tasks import Tasks
from tests.simulation.world import USERS, World
from tests.support.aws import make_table

ROLES = {"worker": 2, "reader": 2, "operator": 1, "shopper": 1, "sweeper": 1}

_NARROW_AND_WIDE = 1000
"""Every other thousand of seeds plays in a narrow world."""

_TOLD_LATE = 0.3
"""Of the events about the catalog: most are settled before the first user comes."""


@contextmanager
def simulation(seed: int, steps: int, servers: Servers) -> Iterator[Simulation]:
    with ExitStack() as stack:
        database = stack.enter_context(servers.database())
        table = stack.enter_context(make_table(servers.aws_url))
        double = stack.enter_context(StripeDouble(seed=seed))
        api = StripeApi(double.url)
        stack.callback(api.close)
        # a source of chance for each concern: other faults do not make other lives
        lives, faults = chance("lives", seed), chance("faults", seed)
        narrow = seed // _NARROW_AND_WIDE % 2 == 1
        eager = lives.choice([0.08, 0.2, 0.6])
        world = World(double, api, lives, lives.choice([0.15, 0.3, 0.5]), eager, narrow=narrow)
        world.begin()
        office = Office(chance("office", seed), open_shop(database, servers, table, double, world))
        beside = stack.enter_context(connect_store(servers.url_of(database)))
        watch, book = PostgresWatch(beside), Book(beside)
        book.look()
        book.promised_epochs = dict(book.moment.epochs)
        sign_up(world, servers.url_of(database), double.url)
        queue = Queue(chance("queue", seed), rough=faults.random() < 0.8, lively=narrow)
        news = world.take_news()
        book.hear(news)
        about_catalog = {event["id"] for event in news if event["type"].startswith(("product.", "price.", "plan."))}
        told = [event for event in news if event["id"] not in about_catalog or lives.random() < _TOLD_LATE]
        queue.deliver(world, told, 0)
        gate = Gate({"postgres": servers.postgres, "aws": servers.aws, "stripe": address(double.url)}, watch)
        stage = Stage(gate, book, Plan(faults, watch), chance("schedule", seed))
        site = Site(database, table, world.present, lambda: stage.step * 0.05)
        for role, count in ROLES.items():
            stage.actors += [Actor(f"{role} {number}", role, gate, site) for number in range(count)]
        try:
            yield Simulation(seed, steps, stage, Tasks(stage, world, queue, office), world)
        finally:
            _end(stage)


def _end(stage: Stage) -> None:
    for actor in stage.actors:
        stage.gate.cut_off(actor.name)
        actor.stop()
    stage.gate.drain(lambda: all(actor.is_gone() for actor in stage.actors))
    stage.gate.close()


def open_shop(
    database: str, servers: Servers, table: str, double: StripeDouble, world: World
) -> dict[str, tuple[str, str]]:
    """Straight, with no gate between. Returns secret → (project, key id)."""
    ports: dict[Service, int] = {
        "postgres": servers.postgres_port,
        "aws": servers.aws[1],
        "stripe": address(double.url)[1],
    }
    parts = make_parts(Site(database, table, world.present, lambda: 0.0), ports)
    url, dice = parts.worker.database_url, random.Random("keys")  # noqa: S311  the same for every seed
    secrets = {}
    for project in catalog.PROJECTS:
        create_project(url, project_id=project, name=project, allowed_origins=[], namespace=catalog.NAMESPACE)
        document = CatalogDocument.model_validate(catalog.START[project])
        apply_catalog(parts.publisher, parts.worker.stripe, project, document, world.present)
        for number in range(2):
            secret = keys.mint("test", project, dice.randbytes(keys.RANDOM_BYTES))
            secrets[secret] = (project, f"key_{project}_{number}")
            _keep_key(url, secret, *secrets[secret])
    parts.publisher.cache.aws.close()
    close(url)
    return secrets


def sign_up(world: World, database_url: str, stripe_url: str) -> None:
    """Most users are customers when the story begins, and one of them holds something."""
    stripe = connect("sk_test_simulation", stripe_url)
    for user in USERS[:-1]:
        world.link(user, ensure_customer(database_url, stripe, catalog.NAMESPACE, user).stripe_id)
    world.begin_subscription(USERS[0])
    close(database_url)


def _keep_key(database_url: str, secret: str, project: str, key_id: str) -> None:
    with transaction(database_url) as connection:
        insert_key(
            connection,
            key_id=key_id,
            digest=keys.digest(secret),
            role="project",
            project_id=project,
            name="simulated",
            mode="test",
        )


def chance(concern: str, seed: int) -> random.Random:
    return random.Random(f"{concern} {seed}")  # noqa: S311  to be repeated, not to be secret


def address(url: str) -> Address:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0
