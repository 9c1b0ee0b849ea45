"""The files of a sentence-transformers folder or repository: what they say, and bringing them here.

Nothing of the library is imported: what it could not give as one vector a text is refused before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.numpy import save_file

from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.fields import Fields, read_optional
from zoo.spec import WeightsSpec
from zoo.weights import open_repo
from zoo.weights.repo import Repo
from zoo_text.modules import MODULES

OWN = "sentence_transformers."
# Modules that turn tokens into one vector, or one vector into another.
FOLLOWING = ("Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
TENSORS = (".safetensors", ".bin")
SIDE = (".json", ".txt", ".model")


def open_files(rest: str) -> Repo:
    """Open a folder, `org/repo[@revision]`, or a name of the library's own organisation.

    Raises:
        WeightsError: It is not there, or cannot be reached.
    """
    if Path(rest).expanduser().is_dir() or rest.startswith((".", "/", "~")):
        return open_repo(rest)
    return open_repo(f"hf:{rest}" if "/" in rest else f"hf:sentence-transformers/{rest}")


def places(files: Repo, name: str) -> list[str]:
    """Return the folders of the modules, the transformer's first; the repository's root is empty.

    Raises:
        UnsupportedCheckpointError: It is no list of modules that this bridge can run.
        FormatError: A file is broken.
    """
    if MODULES not in files.names():
        raise UnsupportedCheckpointError(
            f"{name} has no {MODULES}. Try hf:{name.partition(':')[2]}."
        )
    kind = read_optional(files, "config_sentence_transformers.json").text("model_type", "")
    if kind not in ("", "SentenceTransformer"):
        raise UnsupportedCheckpointError(
            f"{name} is a {kind} of sentence-transformers; supported is SentenceTransformer."
        )
    values = files.json(MODULES)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise FormatError(f"{MODULES} of {name} is no list of objects.")
    modules = [Fields(value, MODULES) for value in values]
    kinds = [module.text("type", "") for module in modules]
    foreign = [kind for kind in kinds if not kind.startswith(OWN)]
    if foreign:
        raise UnsupportedCheckpointError(
            f"{name} brings code of its own, {foreign[0]}, which is never run."
        )
    short = [kind.rpartition(".")[2] for kind in kinds]
    if short[:1] != ["Transformer"] or not set(short[1:]) <= set(FOLLOWING):
        raise UnsupportedCheckpointError(
            f"{name} lists the modules {', '.join(short)}. Supported are Transformer first, then "
            f"{', '.join(FOLLOWING)}."
        )
    found = [module.text("path", "").strip("/") for module in modules]
    _expect_whole_prompts(files, name, [p for p, kind in zip(found, short, strict=True)
                                        if kind == "Pooling"])  # fmt: skip
    if _within(found[0], "tokenizer.json") not in files.names():
        raise UnsupportedCheckpointError(
            f"{name} has no tokenizer.json. Save its tokenizer with transformers as one."
        )
    return found


def weights_of(files: Repo, modules: Sequence[str]) -> WeightsSpec:
    """Return where the tensors lie; the network reads them itself, this is for hashes and locks.

    Args:
        files: The repository.
        modules: As `places` gives them.
    """
    parts = {
        f"{number}.": next(file for file in _either(place) if file in files.names())
        for number, place in enumerate(modules)
        if number and place and any(file in files.names() for file in _either(place))
    }
    return WeightsSpec(
        source=files.source,
        files=WEIGHTS,
        subfolder=modules[0],
        parts=parts,
        revision=files.revision,
        layout="sentence-transformers",
    )


def folder_of(weights: WeightsSpec) -> Path:
    """Return the folder of a checkpoint, after all that the library reads has been verified."""
    revision = f"@{weights.revision}" if weights.revision else ""
    return folder_with(open_repo(weights.source + revision), weights.source)


def folder_with(files: Repo, name: str) -> Path:
    """Bring what the library reads here, verified; return its folder."""
    modules = places(files, name)
    wanted = [
        *_side_files(files, modules),
        *(t for place in modules for t in _tensors(files, place)),
    ]
    paths = {file: files.path(file) for file in wanted}
    return paths[MODULES].parent


@contextmanager
def skeleton(files: Repo, name: str) -> Iterator[Path]:
    """Yield a folder that the library can open without the transformer's tensors being fetched.

    A file of no tensors stands for them, so that it draws them at random. Those of the modules
    behind it are small, and are there.
    """
    modules = places(files, name)
    behind = set(modules) - {modules[0]}
    following = [tensors for place in behind for tensors in _tensors(files, place)]
    with TemporaryDirectory(prefix="zoo-") as place:
        for file in {*_side_files(files, modules), *following}:
            link = Path(place, file)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(files.path(file).resolve())
        none = Path(place, _within(modules[0], WEIGHTS[0]))
        none.parent.mkdir(exist_ok=True)
        save_file({}, none, metadata={"format": "pt"})
        yield Path(place)


def _side_files(files: Repo, modules: Sequence[str]) -> list[str]:
    """Return the names of configurations and tokenizer."""
    folders = {"", *modules}
    return sorted(
        file for file in files.names() if file.rpartition("/")[0] in folders and file.endswith(SIDE)
    )


def _tensors(files: Repo, place: str) -> list[str]:
    """Return the names of a module's tensors; of two formats only safetensors."""
    spare = ".bin" if _within(place, WEIGHTS[0]) in files.names() else None
    found = []
    for file in sorted(files.names()):
        folder, _, last = file.rpartition("/")
        weights = last.startswith(("model", "pytorch_model")) and last.endswith(TENSORS)
        if folder == place and weights and Path(last).suffix != spare:
            found.append(file)
    return found


def _expect_whole_prompts(files: Repo, name: str, poolings: Sequence[str]) -> None:
    for place in poolings:
        if not read_optional(files, _within(place, "config.json")).flag("include_prompt", True):
            raise UnsupportedCheckpointError(
                f"{name} leaves the prompt out of the pooling, which is not supported."
            )


def _either(place: str) -> list[str]:
    return [_within(place, file) for file in WEIGHTS]


def _within(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file
