"""Is what is compiled in a package compiled for the machine and the Python that will run it?"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from infra.bundle.faults import BadBundle

AARCH64 = 183
"""ELF's e_machine of 64-bit ARM (`EM_AARCH64`)."""

PYTHON_TAG = "cpython-313"

_ELF = b"\x7fELF"
_64_BIT, _LITTLE_ENDIAN = 2, 1
_LIBRARY = re.compile(r"\.(so(\.[0-9.]+)?|dylib|pyd|dll)$")
_TAG = re.compile(r"\.(cpython-[0-9]+)[-.]")


def check_machine_code(folder: Path) -> int:
    """How many compiled files there are, all of them fit. Raises BadBundle that names each that does not.

    A file is judged by its ELF header, not by its name.
    """
    judged = [(path, fault) for path in sorted(folder.rglob("*")) if path.is_file() for fault in _faults(path)]
    wrong = "\n".join(f"  {path.relative_to(folder)}: {fault}" for path, fault in judged if fault)
    if wrong:
        raise BadBundle(
            f"These files would not load on Lambda (64-bit ARM, Python 3.13):\n{wrong}\n"
            "A wheel for another platform came in: look at its line in requirements/, and whether the package has a "
            "manylinux aarch64 wheel at that version."
        )
    return len(judged)


def _faults(path: Path) -> Iterator[str]:
    """One word for each compiled file: empty when it is right."""
    with path.open("rb") as file:
        header = file.read(20)
    is_elf = header.startswith(_ELF)
    if not is_elf and not _LIBRARY.search(path.name):
        return
    tag = _TAG.search(path.name)
    if not is_elf or len(header) < 20:
        yield "not an ELF file"
    elif header[4] != _64_BIT or header[5] != _LITTLE_ENDIAN:
        yield "not 64-bit little-endian"
    elif (machine := struct.unpack_from("<H", header, 18)[0]) != AARCH64:
        yield f"machine {machine} in its ELF header, not {AARCH64}"
    elif tag and tag[1] != PYTHON_TAG:
        yield f"made for {tag[1]}"
    else:
        yield ""
