"""Packages of a lock, without Docker and without what never runs."""

import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from infra.bundle.archive import staged
from infra.bundle.faults import BadBundle
from infra.bundle.wheels import PLATFORM, install
from tests.unit.infra.bundle.conftest import LIBRARY, Lock


def test_a_package_is_installed_without_scripts_tests_stubs_and_notes_of_the_installer(
    lock: Lock, tmp_path: Path
) -> None:
    install(lock(), tmp_path / "python")
    assert sorted(staged(tmp_path / "python")) == [
        "speedy-1.0.dist-info/METADATA",
        "speedy-1.0.dist-info/entry_points.txt",
        "speedy-1.0.dist-info/licenses/LICENSE",
        "speedy/__init__.py",
        LIBRARY,
    ]


def test_what_was_changed_in_uvs_cache_does_not_get_in(lock: Lock, tmp_path: Path) -> None:
    path = lock()
    uv = [find_uv_bin(), "pip", "install", "--quiet", "--python-version", "3.13", "--python-platform", PLATFORM]
    subprocess.run([*uv, "--target", str(tmp_path / "venv"), "--require-hashes", "-r", str(path)], check=True)
    unpacked = [found for found in (tmp_path / "cache").rglob("speedy/__init__.py") if found.is_file()]
    assert unpacked
    for found in unpacked:
        found.write_text("SPEED = 'stolen'\n")
    install(path, tmp_path / "python")
    assert (tmp_path / "python/speedy/__init__.py").read_text() == "SPEED = 'high'\n"


def test_a_wheel_for_another_machine_is_not_taken_and_the_fault_says_what_to_do(lock: Lock, tmp_path: Path) -> None:
    with pytest.raises(BadBundle) as fault:
        install(lock("manylinux_2_28_x86_64"), tmp_path / "python")
    assert "speedy" in str(fault.value)
    assert "pin a version in requirements/*.in that has one" in str(fault.value)


def test_a_wheel_that_is_not_the_locked_one_is_refused(lock: Lock, tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="find out why before you lock again"):
        install(lock(digest="0" * 64), tmp_path / "python")
    assert not (tmp_path / "python/speedy").exists()


def test_an_index_that_cannot_be_reached_says_how_to_go_on(
    lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lock()
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(BadBundle, match="come back online once; what was built is kept in build/"):
        install(path, tmp_path / "python")
