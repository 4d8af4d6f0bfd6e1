"""The zips that go to Lambda."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.bundle.assets import Asset, Bundle, StandIns, weight
from infra.bundle.faults import BadBundle
from infra.bundle.interpreter import Interpreter, this_interpreter
from infra.bundle.sources import BILLING
from tests.unit.infra.bundle.conftest import LIBRARY, Lock, elf


@pytest.fixture(scope="module")
def python() -> Interpreter:
    """Stands for Lambda's."""
    return this_interpreter()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests that only look share what was built."""
    return tmp_path_factory.mktemp("bundle")


STARTED = """
import json, sys
sys.path[:0] = sys.argv[2:]
__import__(f"functions.{sys.argv[1]}.handler")
ours = {name: module.__cached__ for name, module in sys.modules.items() if name.startswith(("billing", "functions."))}
foreign = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"billing", "functions"}
print(json.dumps([sorted(foreign), [cached for cached in ours.values() if not cached.startswith(tuple(sys.argv[2:]))]]))
"""


@pytest.mark.parametrize("folder", ["entitlements", "webhooks"])
def test_the_hot_functions_start_on_their_code_and_the_billing_layer_alone(
    python: Interpreter, kept: Path, tmp_path: Path, folder: str
) -> None:
    bundle, opt, task = Bundle(python, root=kept), tmp_path / "opt", tmp_path / "task"
    for asset, place in ((bundle.layer(BILLING), opt), (bundle.package(folder), task)):
        with zipfile.ZipFile(asset.path) as archive:
            archive.extractall(place)
    command = [sys.executable, "-I", "-S", "-c", STARTED, folder, str(opt / "python"), str(task)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    foreign, elsewhere = json.loads(answer.stdout)
    assert [name for name in foreign if name != "__main__"] == []
    assert elsewhere == []


def test_every_module_comes_with_its_bytecode(python: Interpreter, kept: Path) -> None:
    with zipfile.ZipFile(Bundle(python, root=kept).layer(BILLING).path) as archive:
        names = set(archive.namelist())
    modules = {name for name in names if name.endswith(".py")}
    compiled = {name for name in names if name.endswith(".pyc")}
    assert len(compiled) == len(modules) > 100


def test_without_a_fitting_python_there_is_a_warning_and_no_bytecode_rather_than_the_wrong(tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="hold NO BYTECODE"):
        bundle = Bundle(None, root=tmp_path)
    with zipfile.ZipFile(bundle.package("health").path) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".pyc")]


def test_the_same_inputs_give_the_same_bytes_in_another_folder(python: Interpreter, tmp_path: Path, lock: Lock) -> None:
    locks = lock().parent
    bundles = [Bundle(python, root=tmp_path / name, locks=locks) for name in ("here", "there/deeper")]
    first, second = ((bundle.layer("speed"), bundle.package("portal")) for bundle in bundles)
    assert [asset.path.read_bytes() for asset in first] == [asset.path.read_bytes() for asset in second]


def test_a_layer_of_packages_is_built_once_for_its_lock(
    python: Interpreter, tmp_path: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lock()
    bundle = Bundle(python, root=tmp_path / "root", locks=path.parent)
    first = bundle.layer("speed")
    monkeypatch.delenv("UV_FIND_LINKS")  # the wheel is gone: what follows comes from build/
    assert bundle.layer("speed") == first
    path.write_text(path.read_text() + "# another lock\n")
    with pytest.raises(BadBundle, match="could not be had"):
        bundle.layer("speed")


def test_a_wheel_with_the_wrong_machine_code_inside_fails_the_build_and_leaves_nothing(
    python: Interpreter, tmp_path: Path, lock: Lock
) -> None:
    path = lock(library=elf(62))
    with pytest.raises(BadBundle, match=f"python/{LIBRARY}: machine 62"):
        Bundle(python, root=tmp_path / "root", locks=path.parent).layer("speed")
    assert list((tmp_path / "root").iterdir()) == []


def test_a_layer_that_is_not_locked_says_so(python: Interpreter, tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match=r"requirements/payment\.txt is missing"):
        Bundle(python, root=tmp_path).layer("payment")


def test_a_function_weighs_what_it_and_its_layers_have_unzipped(python: Interpreter, kept: Path) -> None:
    bundle = Bundle(python, root=kept)
    package, layer = bundle.package("webhooks"), bundle.layer(BILLING)
    assert weight(bundle, "webhooks", [BILLING]) == package.unzipped + layer.unzipped


class Heavy:
    """Assets of 130 MiB each."""

    def package(self, folder: str) -> Asset:
        return Asset(Path(folder), "", 0, 130 << 20)

    layer = package


def test_a_function_over_lambdas_limit_is_refused() -> None:
    with pytest.raises(BadBundle, match="Lambda takes 262,144,000"):
        weight(Heavy(), "admin", [BILLING])


def test_stand_ins_need_neither_sources_nor_network_and_are_the_same_each_time(tmp_path: Path) -> None:
    first, second = (StandIns(tmp_path).package("checkout") for _ in range(2))
    assert first == second
    assert first.digest != StandIns(tmp_path).layer("runtime").digest
    assert zipfile.is_zipfile(first.path)
