"""The Stripe double as a process: python -m infra.local.stripe_double --port 12111 --state .local/stripe.json."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from infra.local.stripe_double.double import StripeDouble
from infra.local.stripe_double.routes import warm_up


def main() -> None:
    """Serve until SIGINT or SIGTERM. Exits with a message if the port is taken or the state file unreadable."""
    wanted = _arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        double = StripeDouble(
            host=wanted.host, port=wanted.port, seed=wanted.seed, state_file=wanted.state, workers=wanted.workers
        )
    except (OSError, ValueError) as error:
        sys.exit(
            f"The Stripe double cannot start on {wanted.host}:{wanted.port}: {error}. Try another --port or --state."
        )
    warm_up()
    with double:
        print(f"Stripe double on {double.url} (control API: {double.url}/_control/clock)", flush=True)
        stop.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.stripe_double", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=12111, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="file that keeps the state over restarts (default: none)")
    parser.add_argument("--seed", type=int, help="make the same ids each time")
    parser.add_argument("--workers", type=int, default=1, help="threads that deliver webhooks (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
