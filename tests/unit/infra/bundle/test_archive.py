"""The zip's bytes follow from what is in it."""

import os
import zipfile
from pathlib import Path

from infra.bundle.archive import comment, digest, staged, zipped


def _folder(root: Path, *names: str, at: float = 0.0, mode: int = 0o600) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}\n" * 50)
        path.chmod(mode)
        os.utime(path, (at, at))
    return root


def test_neither_times_nor_modes_nor_order_nor_place_show_in_the_bytes(tmp_path: Path) -> None:
    first = _folder(tmp_path / "a", "one.py", "two/three.py")
    second = _folder(tmp_path / "b", "two/three.py", "one.py", at=1e9, mode=0o755)
    assert zipped(staged(first), level=6) == zipped(staged(second), level=6)


def test_the_digest_is_of_the_contents_whatever_the_compression(tmp_path: Path) -> None:
    files = staged(_folder(tmp_path / "a", "one.py"))
    quick, small = tmp_path / "quick.zip", tmp_path / "small.zip"
    quick.write_bytes(zipped(files, level=1))
    small.write_bytes(zipped(files, level=9))
    assert comment(quick) == comment(small) == digest(files)


def test_another_name_or_content_is_another_digest(tmp_path: Path) -> None:
    files = staged(_folder(tmp_path / "a", "one.py", "two.py"))
    renamed = {"one.py": files["one.py"], "three.py": files["two.py"]}
    changed = {"one.py": files["two.py"], "two.py": files["two.py"]}
    assert len({digest(files), digest(renamed), digest(changed)}) == 3


def test_lambda_can_read_every_file(tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    path.write_bytes(zipped(staged(_folder(tmp_path / "a", "one.py")), level=6))
    with zipfile.ZipFile(path) as archive:
        assert [entry.external_attr >> 16 & 0o777 for entry in archive.infolist()] == [0o644]
