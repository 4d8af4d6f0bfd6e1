"""The PostgreSQL launcher of the local system."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from infra.local.postgres import run_postgres, server_program
from infra.local.processes import LocalStackError, free_port
from tests.support.postgres import roomy_memory, temporary_directory
from tests.support.processes import descendants, wait_for_end

pytestmark = pytest.mark.alone

SERVE = """
import sys, time
from pathlib import Path
from infra.local.postgres import run_postgres
with run_postgres(Path(sys.argv[1]), durable=False) as server:
    print(server.url, flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=[0o755, 0o700], ids=["open to others", "closed to others"])
def data_dir(request: pytest.FixtureRequest) -> Iterator[Path]:
    with temporary_directory("billing-launcher-", within=roomy_memory()) as parent:
        parent.chmod(request.param)
        yield parent / "postgres"


def start_in_another_process(data_dir: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(data_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def write_a_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def read_the_row(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_data_survives_a_restart(data_dir: Path) -> None:
    with run_postgres(data_dir) as server:
        write_a_row(server.url)
    with run_postgres(data_dir) as server:
        assert read_the_row(server.url) == 42


def test_it_is_postgresql_18_durable_in_utc_and_utf8_on_loopback_only(data_dir: Path) -> None:
    with run_postgres(data_dir) as server, psycopg.connect(server.url) as connection:
        names = ("server_version", "fsync", "timezone", "server_encoding", "listen_addresses")
        values = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    assert values == [("18.6",), ("on",), ("UTC",), ("UTF8",), ("127.0.0.1",)]


def test_a_killed_parent_leaves_no_server_and_loses_no_commit(data_dir: Path) -> None:
    parent, url = start_in_another_process(data_dir)
    write_a_row(url)
    family = descendants(parent.pid)
    assert len(family) > 5
    end(parent)
    wait_for_end(family)
    with run_postgres(data_dir, durable=False) as server:
        assert read_the_row(server.url) == 42


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_guard_takes_its_server_along(data_dir: Path) -> None:
    parent, _ = start_in_another_process(data_dir)
    try:
        (guard,) = descendants(parent.pid, generations=1)
        family = descendants(guard)
        os.kill(guard, signal.SIGKILL)
        wait_for_end(family)
    finally:
        end(parent)


def test_a_second_server_on_the_same_data_is_refused(data_dir: Path) -> None:
    with (
        run_postgres(data_dir, durable=False),
        pytest.raises(LocalStackError, match="in use by another running system"),
        run_postgres(data_dir, durable=False, patience=0.1),
    ):
        pass


@contextmanager
def stranger_of(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no server, of the user the server runs as (else PostgreSQL itself sees it is none)."""
    user = data_dir.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "600"], user=user) as stranger:
        try:
            yield stranger
        finally:
            stranger.kill()


def test_a_strangers_process_with_the_old_number_is_neither_killed_nor_in_the_way(data_dir: Path) -> None:
    with run_postgres(data_dir, durable=False):
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    with stranger_of(data_dir) as stranger:
        # what a killed server leaves behind, its number given to another process since
        (data_dir / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with run_postgres(data_dir, durable=False) as server, psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert stranger.poll() is None


def test_a_server_of_this_data_that_outlived_its_guard_is_stopped_and_its_data_taken_over() -> None:
    with temporary_directory("billing-launcher-", within=roomy_memory()) as parent:
        data_dir = parent / "postgres"
        with run_postgres(data_dir, durable=False) as server:
            write_a_row(server.url)
        with unguarded_server(data_dir) as outlived:
            with run_postgres(data_dir, durable=False) as server:
                assert read_the_row(server.url) == 42
            assert outlived.wait(10) == 0


@contextmanager
def unguarded_server(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A ready server that nobody guards: what a killed guard leaves where no signal tells of a parent's death."""
    owner = data_dir.stat()
    is_root = os.geteuid() == 0
    # as the launcher does where the path is closed to other users: the data then belongs to root, in a namespace
    apart = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if is_root and owner.st_uid == 0 else []
    command: list[str | Path] = [
        *apart,
        server_program("postgres"),
        "-D",
        data_dir,
        "-p",
        str(free_port()),
        "-c",
        "unix_socket_directories=",
    ]
    pid_file = data_dir / "postmaster.pid"
    with subprocess.Popen(
        command,
        stderr=subprocess.DEVNULL,
        cwd="/",
        user=owner.st_uid if is_root and not apart else None,
        group=owner.st_gid if is_root and not apart else None,
    ) as server:
        try:
            deadline = time.monotonic() + 20
            while not (pid_file.exists() and pid_file.read_text().splitlines()[7:8] == ["ready   "]):
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield server
        finally:
            server.kill()


def test_a_busy_port_gives_way_to_a_free_one(data_dir: Path) -> None:
    with (
        run_postgres(data_dir, durable=False) as first,
        run_postgres(data_dir.with_name("other"), port=first.port, durable=False) as second,
    ):
        assert second.port != first.port
