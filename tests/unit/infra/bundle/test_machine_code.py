"""Compiled files are judged by what is in them."""

from pathlib import Path

import pytest

from infra.bundle.faults import BadBundle
from infra.bundle.machine_code import check_machine_code
from tests.unit.infra.bundle.conftest import elf

X86_64, AARCH64 = 62, 183


def _put(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_libraries_for_lambda_pass_and_are_counted(tmp_path: Path) -> None:
    _put(tmp_path, "driver/_c.cpython-313-aarch64-linux-gnu.so", elf(AARCH64))
    _put(tmp_path, "driver.libs/libpq-53e4e5f8.so.5.18", elf(AARCH64))
    _put(tmp_path, "core/_core.abi3.so", elf(AARCH64))
    _put(tmp_path, "core/module.py", b"x = 1\n")
    assert check_machine_code(tmp_path) == 3


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("_c.cpython-313-aarch64-linux-gnu.so", elf(X86_64), "machine 62"),
        ("libpq.so.5", elf(AARCH64, bits=1), "not 64-bit"),
        ("_c.cpython-311-aarch64-linux-gnu.so", elf(AARCH64), "made for cpython-311"),
        ("_c.so", b"\xcf\xfa\xed\xfe" + bytes(60), "not an ELF file"),
        ("_c.so", b"\x7fELF", "not an ELF file"),
        ("tool", elf(X86_64), "machine 62"),
        ("_c.cp313-win_amd64.pyd", b"MZ" + bytes(60), "not an ELF file"),
    ],
)
def test_a_library_that_would_not_load_fails_the_build_by_name(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    _put(tmp_path, f"deep/down/{name}", content)
    with pytest.raises(BadBundle) as fault:
        check_machine_code(tmp_path)
    assert f"deep/down/{name}: {why}" in str(fault.value)
    assert "requirements/" in str(fault.value)
