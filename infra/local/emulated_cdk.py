"""The CDK's own command line, run against an emulator."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bundle.sources import REPOSITORY
from infra.local.deploy import session
from infra.local.ministack import REGION
from infra.local.processes import LocalStackError

NODE = REPOSITORY / ".venv" / "bin" / "node"
CLI = REPOSITORY / "infra" / "cdk" / "node_modules" / "aws-cdk" / "bin" / "cdk"
ACCOUNT = "000000000000"
ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
"""The bucket that bootstrapping makes."""

PATIENCE_SECONDS = 240
_TOLD_LINES = 40

Outputs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Cdk:
    """`assembly` is deployed to `endpoint_url`. It keeps its own files in `home`."""

    assembly: Path
    endpoint_url: str
    home: Path

    def bootstrap(self) -> None:
        """Raises LocalStackError, as `deploy` does."""
        self._run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        client = session().client("s3", endpoint_url=self.endpoint_url)
        client.delete_bucket_policy(Bucket=ASSETS)  # it refuses what comes without TLS, and the loopback has none
        client.close()

    def deploy(self) -> Outputs:
        """Outputs by stack. Raises LocalStackError with the end of what the command said."""
        outputs = self.home / "outputs.json"
        self._run("deploy", "--all", "--require-approval", "never", "--outputs-file", outputs)
        found: Outputs = json.loads(outputs.read_text())
        return found

    def _run(self, *words: str | Path) -> None:
        if not CLI.exists():
            raise LocalStackError("The CDK's command line is not installed: run `make infra/cdk/node_modules/.ready`.")
        done = subprocess.run(
            [NODE, CLI, "--app", self.assembly, "--no-notices", *words],
            env=self._environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            told = "\n".join(done.stdout.splitlines()[-_TOLD_LINES:])
            raise LocalStackError(f"cdk {words[0]} ended with {done.returncode}:\n{told}")

    def _environment(self) -> dict[str, str]:
        """A clean one: the user's own credentials must not reach it."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "CI": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,  # the CLI takes the other for all services but this
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
