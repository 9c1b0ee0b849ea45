"""What is installed, what is not, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from ast import literal_eval
from email.parser import Parser
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

import zoo
from zoo import samples

HERE = Path(__file__).parent.parent
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())
ROOTS = (
    "zoo",
    "plugins/zoo_vision",
    "plugins/zoo_text",
    "plugins/zoo_audio",
    "plugins/zoo_multimodal",
    "plugins/zoo_classic",
    "export/zoo_export",
)
FOLDERS = ("plugins", "export", "tests", "docs", "benchmarks", "model_cards")
REFERENCES = (
    "gensim",
    "transformers",
    "sentence_transformers",
    "timm",
    "torchvision",
    "open_clip",
    "skimage",
    "sklearn",
)

BLOCK_AND_RUN = """
import importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
{code}
"""


def python(code: str, folder: Path) -> str:
    """Run code in a new interpreter, away from the checkout; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without(blocked: tuple[str, ...], code: str, folder: Path) -> str:
    """Run code where some packages are not installed."""
    return python(BLOCK_AND_RUN.format(blocked=set(blocked), code=code), folder)


# Layout


def test_folders_of_the_checkout_are_not_importable(tmp_path: Path) -> None:
    code = f"import importlib.util as u; print([n for n in {FOLDERS!r} if u.find_spec(n)])"
    assert python(code, tmp_path).strip() == "[]"


def test_every_root_is_typed_and_comes_from_one_tree(tmp_path: Path) -> None:
    names = [Path(root).name for root in ROOTS]
    code = f"import {','.join(names)}; print([module.__file__ for module in ({','.join(names)})])"
    for root, file in zip(ROOTS, literal_eval(python(code, tmp_path)), strict=True):
        assert Path(file).parent.resolve() == (HERE / root).resolve()
        assert (HERE / root / "py.typed").is_file()


def test_the_project_file_names_every_root() -> None:
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(ROOTS)
    found = {str(path.parent.relative_to(HERE)) for path in HERE.glob("*/zoo_*/__init__.py")}
    assert found | {"zoo"} == set(ROOTS)


def test_every_plugin_with_a_door_has_an_entry_point() -> None:
    doors = {f"{path.parent.name}.plugin" for path in HERE.glob("*/*/plugin.py")}
    points = [point for point in entry_points(group="zoo")
              if point.dist is not None and point.dist.name == "encoder-zoo"]  # fmt: skip
    assert {point.value for point in points} == doors
    assert all(point.value == f"zoo_{point.name}.plugin" for point in points)


def test_the_version_is_said_once() -> None:
    assert PROJECT["project"]["version"] == zoo.__version__ == distribution("encoder-zoo").version


def test_constraints_pin_every_requirement() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (HERE / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    wanted = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        wanted += [line for line in extra if not line.startswith("encoder-zoo")]
    names = {line.partition(">=")[0].lower().replace("_", "-") for line in wanted}
    assert names - pinned == set()


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=HERE,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_module_of_every_root(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    for root in ROOTS:
        parent = (HERE / root).parent
        files = {str(path.relative_to(parent)) for path in (HERE / root).rglob("*.py")}
        assert files | {f"{Path(root).name}/py.typed"} <= held


def test_the_wheel_holds_the_samples_and_nothing_beside_the_roots(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    assert {f"zoo/samples/images/{path.name}" for path in samples.images()} <= held
    assert {f"zoo/samples/sounds/{path.name}" for path in samples.sounds()} <= held
    assert {"zoo/samples/texts.txt", "zoo/samples/LICENSES.md"} <= held
    tops = {name.partition("/")[0] for name in held}
    assert tops == {Path(root).name for root in ROOTS} | {
        f"encoder_zoo-{zoo.__version__}.dist-info"
    }


def test_the_wheel_needs_no_reference_library(wheel: zipfile.ZipFile) -> None:
    info = f"encoder_zoo-{zoo.__version__}.dist-info/METADATA"
    needs = Parser().parsestr(wheel.read(info).decode()).get_all("Requires-Dist") or []
    core = [need for need in needs if "extra ==" not in need]
    assert core
    assert not [need for need in core if need.startswith(("torch", *REFERENCES))]


def test_samples_are_small_and_their_licences_are_named() -> None:
    licences = (HERE / "zoo/samples/LICENSES.md").read_text()
    assert len(samples.images()) == 6
    for path in samples.images():
        assert path.stat().st_size < 30_000
        assert f"images/{path.name}" in licences
    assert len(samples.sounds()) == 2
    for path in samples.sounds():
        assert path.stat().st_size < 40_000
        assert f"sounds/{path.name}" in licences


# What importing costs


def test_import_zoo_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    assert loaded(tmp_path, "import zoo") == []


def test_listing_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    code = "import zoo.cli; assert zoo.cli.main(['list']) == 0"
    assert loaded(tmp_path, code) == []


def loaded(folder: Path, code: str) -> list[str]:
    """Return which heavy packages a piece of code imports."""
    heavy = ("torch", "numpy", "PIL", "tokenizers", "safetensors", "huggingface_hub", *REFERENCES)
    tail = f"import sys; print(); print([n for n in {heavy!r} if n in sys.modules])"
    found: list[str] = literal_eval(python(f"{code}\n{tail}", folder).splitlines()[-1])
    return found


def test_loading_local_files_imports_no_hub_client_and_no_compiler(tmp_path: Path) -> None:
    code = """
import sys, zoo
zoo.load("hog").encode({image!r})
zoo.load("resnet-18", weights="random")
from zoo.nn.meta import on_meta
with on_meta():
    zoo.info("bert-base-uncased").config.build()
    zoo.info("vit-b16").config.build()
print([n for n in ("torch._dynamo", "sympy", "huggingface_hub", "scipy") if n in sys.modules])
"""
    printed = python(code.format(image=str(samples.images()[0])), tmp_path)
    assert printed.strip() == "[]"


LIGHT = """
import pkgutil, importlib, zoo.cli
for root in ("zoo.cli", "zoo_vision.families", "zoo_text.families", "zoo_audio.families",
             "zoo_multimodal.families", "zoo_classic.families"):
    for module in pkgutil.iter_modules(importlib.import_module(root).__path__, root + "."):
        importlib.import_module(module.name)
for plugin in zoo.registry.default_registry().plugins:
    assert plugin.error is None, plugin.error
"""


def test_lookup_and_every_command_work_without_torch(tmp_path: Path) -> None:
    code = (
        LIGHT
        + """
for name in zoo.cli.cli.list_commands(None):
    assert zoo.cli.main([name, "--help"]) == 0
for words in (["list", "--json"], ["info", "hog"], ["plugins"]):
    assert zoo.cli.main(words) == 0, words
"""
    )
    without(("torch", *REFERENCES), code, tmp_path)


def test_embedding_without_torch_gives_the_pip_line(tmp_path: Path) -> None:
    code = """
import zoo.cli
raise SystemExit(zoo.cli.main(["embed", "hog", {image!r}, "-o", "out.npy"]) - 1)
"""
    printed = subprocess.run(
        [sys.executable, "-c", BLOCK_AND_RUN.format(
            blocked={"torch"}, code=code.format(image=str(samples.images()[0])))],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert printed.returncode == 0, printed.stderr
    assert 'pip install "encoder-zoo[torch]"' in printed.stderr


ALL = """
import importlib, pkgutil
for root in ("zoo", "zoo_vision", "zoo_text", "zoo_audio", "zoo_multimodal", "zoo_classic",
             "zoo_export"):
    package = importlib.import_module(root)
    for module in pkgutil.walk_packages(package.__path__, root + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def test_every_module_imports_without_the_reference_libraries(tmp_path: Path) -> None:
    without((*REFERENCES, "pyarrow", "scipy", "soundfile", "soxr", "cv2", "av"), ALL, tmp_path)
