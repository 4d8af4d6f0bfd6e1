"""A made-up wheel for Lambda's machine, and the index it comes from: no test here needs the network."""

import base64
import hashlib
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Lock = Callable[..., Path]

WHEEL = "speedy-1.0-cp313-cp313-{platform}.whl"
ARM = "manylinux_2_28_aarch64"
LIBRARY = "speedy/_fast.cpython-313-aarch64-linux-gnu.so"


def elf(machine: int, *, bits: int = 2) -> bytes:
    """The header of a shared library, as far as it is looked at."""
    return b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, and the only place uv may look for some."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def lock(index: Path, tmp_path: Path) -> Lock:
    """Writes a lock of one package, and its wheel into the index."""

    def written(platform: str = ARM, library: bytes = elf(183), *, digest: str | None = None) -> Path:
        wheel = index / WHEEL.format(platform=platform)
        _write_wheel(wheel, library)
        path = tmp_path / "locks" / "speed.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"speedy==1.0 --hash=sha256:{digest or hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
        return path

    return written


def _write_wheel(path: Path, library: bytes) -> None:
    tag = path.stem.removeprefix("speedy-1.0-")
    files = {
        "speedy/__init__.py": b"SPEED = 'high'\n",
        "speedy/__init__.pyi": b"SPEED: str\n",
        "speedy/tests/test_speed.py": b"assert True\n",
        LIBRARY: library,
        "speedy-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: speedy\nVersion: 1.0\n",
        "speedy-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        "speedy-1.0.dist-info/entry_points.txt": b"[console_scripts]\nspeedy = speedy:main\n",
        "speedy-1.0.dist-info/licenses/LICENSE": b"Do what you like.\n",
    }
    record = "".join(f"{name},{_recorded(content)},{len(content)}\n" for name, content in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, "speedy-1.0.dist-info/RECORD": record.encode()}.items():
            archive.writestr(name, content)


def _recorded(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
