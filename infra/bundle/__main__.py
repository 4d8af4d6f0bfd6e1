"""`python -m infra.bundle` (`make layers`): build every package, and say how large each is."""

import sys

from infra.bundle.assets import MOST_ZIPPED, Asset, Bundle, weight
from infra.bundle.faults import BadBundle
from infra.bundle.interpreter import Interpreter, find_interpreter
from infra.bundle.sources import BILLING, DRIVER, FUNCTIONS, RUNTIME, layers_of

_LAYERS = (RUNTIME, DRIVER, BILLING)


def main() -> int:
    try:
        _report(find_interpreter())
    except BadBundle as fault:
        print(fault, file=sys.stderr)  # noqa: T201  a command speaks to a person
        return 1
    return 0


def _report(interpreter: Interpreter | None) -> None:
    bundle = Bundle(interpreter)
    if interpreter is not None:
        _say(f"bytecode by Python {interpreter.version} ({interpreter.path})")
    for name in _LAYERS:
        _say(_line(f"layer {name}", bundle.layer(name)))
    for folder in FUNCTIONS:
        layers = layers_of(folder)
        total = weight(bundle, folder, layers)
        _say(f"{_line(folder, bundle.package(folder))} with {' + '.join(layers)} {_megabytes(total)}")


def _line(name: str, asset: Asset) -> str:
    heavy = "  OVER 50 MB ZIPPED" if asset.zipped > MOST_ZIPPED else ""
    return f"{name:<18}{_megabytes(asset.zipped)} zipped {_megabytes(asset.unzipped)} {asset.digest[:12]}{heavy}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:7.2f} MB"


def _say(line: str) -> None:
    print(line)  # noqa: T201  a command speaks to a person


if __name__ == "__main__":
    sys.exit(main())
