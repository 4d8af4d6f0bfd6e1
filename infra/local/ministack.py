"""MiniStack, the AWS of the local system: a child process on loopback that takes CloudFormation and runs Lambdas.

It keeps nothing between runs, on purpose. It could save its state at a clean stop only, so after a kill the next
run would start with an older cache than the store, and serve it. What must last lives in PostgreSQL and in the
Stripe double; `stack.py` deploys anew and has the events redelivered that a queue may have lost.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from infra.local.processes import Guarded, LocalStackError, free_port, guarded, wait_until

REGION = "us-east-1"
START_ATTEMPTS = 3


@dataclass(frozen=True)
class Aws:
    """A running MiniStack; any credentials are good."""

    port: int
    process: Guarded

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def run_ministack(
    work_dir: Path, port: int = 0, keep_fds: Sequence[int] = (), settings: Mapping[str, str] | None = None
) -> Iterator[Aws]:
    """Run MiniStack until the block ends or this process dies. Its log and temporary files are in `work_dir`.

    `port` 0 takes any free one; a busy port gives way to a free one. `keep_fds`: see `guarded`. `settings` are
    environment variables of MiniStack's, beside the ones it needs here.
    """
    work_dir = work_dir.resolve()
    temporary = work_dir / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed run: its workers leave about 80 MB each
    temporary.mkdir(parents=True)
    try:
        with _started(work_dir, temporary, port, keep_fds, settings or {}) as aws:
            yield aws
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _started(
    work_dir: Path, temporary: Path, port: int, keep_fds: Sequence[int], settings: Mapping[str, str]
) -> Iterator[Aws]:
    for attempt in range(START_ATTEMPTS):
        chosen = free_port(port if attempt == 0 else 0)
        with guarded(
            "MiniStack",
            [sys.executable, "-m", "ministack"],
            log=work_dir / "ministack.log",
            env={**_environment(chosen, temporary), **settings},
            cwd=temporary,
            keep_fds=keep_fds,
            grace=3.0,  # it has nothing to save
        ) as process:
            aws = Aws(chosen, process)
            try:
                wait_until(lambda: _answers(aws), process)  # noqa: B023  called at once
            except LocalStackError:
                if attempt + 1 < START_ATTEMPTS and "already in use" in process.log_tail():
                    continue
                raise
            yield aws
            return


def _environment(port: int, temporary: Path) -> dict[str, str]:
    """A clean environment: the functions inherit it, and the user's own AWS credentials must not reach them."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        "S3_DATA_DIR": str(temporary / "s3"),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",  # in the URLs it hands out; `localhost` may mean ::1, where nobody listens
        "MINISTACK_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "LOG_LEVEL": "WARNING",
        # No listeners beside the one port, and no look at the user's containers.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{temporary}/no-docker.sock",
    }


def _answers(aws: Aws) -> bool:
    try:
        answer = urllib3.request("GET", f"{aws.endpoint_url}/_ministack/ready", timeout=2, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200
