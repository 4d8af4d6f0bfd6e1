"""Zip files whose bytes follow from what is in them: sorted names, one time, one mode, nothing of this machine."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import IO

from infra.bundle.sources import Files

EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o100644 << 16
_UNIX = 3  # else the zip says on which system it was made


def staged(folder: Path) -> Files:
    """All that lies in a folder made for a package."""
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def digest(files: Files) -> str:
    """SHA-256 over names and contents: the package's identity, whatever compressed it. 64 hex digits."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        total.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def write(files: Files, target: IO[bytes], *, level: int) -> None:
    """`level` of compression, 1 to 9. The digest is the archive's comment (`unzip -z` shows it)."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr, entry.create_system = _READABLE, _UNIX
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        archive.comment = digest(files).encode()


def zipped(files: Files, *, level: int) -> bytes:
    """The archive, in memory."""
    buffer = io.BytesIO()
    write(files, buffer, level=level)
    return buffer.getvalue()


def comment(path: Path) -> str:
    """The digest of an archive written here."""
    with zipfile.ZipFile(path) as archive:
        return archive.comment.decode()


def unzipped_size(path: Path) -> int:
    """Bytes."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())
