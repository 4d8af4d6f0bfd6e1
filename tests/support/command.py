"""The `billing` command as an operator types it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from infra.local.kept import Stack
from infra.local.package import REPOSITORY


def billing(stack: Stack, home: Path, *words: str) -> Any:
    """What the command printed as JSON, whatever its exit code."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "BILLING_URL": stack.api_url,
        "BILLING_ADMIN_KEY": stack.admin_key,
    }
    done = subprocess.run(
        [REPOSITORY / ".venv/bin/billing", *words, "--json"],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
