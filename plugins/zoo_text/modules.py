"""What a sentence-transformers folder says beyond the network: modules.json and its companions.

The file is a list of modules, each with the dotted path of a class and a folder. Only the library's
own classes are known here, by name; nothing is ever imported or run because a file says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.fields import Fields, read_optional
from zoo.frozen import FrozenMap
from zoo.hookspecs import RepoFiles
from zoo.spec import Role
from zoo_text.configs import DenseHead, HeadActivation, Pooling

MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"
_OWN = "sentence_transformers."
# Dense layers over each token, in place of any pooling.
_TOKEN_DENSE = "pylate.models.Dense.Dense"

_POOLINGS: Mapping[str, Pooling] = {
    "cls": "cls",
    "mean": "mean",
    "max": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "lasttoken": "last",
}
# Switches of before version 5.3; several may be on, which joins the vectors.
_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ACTIVATIONS: Mapping[str, HeadActivation] = {
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.linear.Identity": "none",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.SiLU": "silu",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
}
Feature = Literal["sentence_embedding", "token_embeddings"]
SENTENCE: Feature = "sentence_embedding"
TOKENS: Feature = "token_embeddings"
# What a Dense layer does whose file does not say: that of the library, and that of PyLate.
_SILENT: Mapping[Feature, str] = {
    SENTENCE: "torch.nn.modules.activation.Tanh",
    TOKENS: "torch.nn.modules.linear.Identity",
}
_DENSE_FILES = ("model.safetensors", "pytorch_model.bin")
_MOST = 1_000_000  # features; keeps a broken number from asking for all memory

# The library looks for a document's prompt under these names, in this order.
_DOCUMENT = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Modules:
    """What follows from the modules of a folder.

    Attributes:
        folder: Where the transformer's files are, from the repository's root.
        pooling: From tokens to one vector.
        dense: Layers on the vector.
        normalize: Whether the vector is scaled to unit norm.
        parts: Files of the dense layers: prefix of their keys to name.
    """

    folder: str = ""
    pooling: Pooling = "mean"
    dense: tuple[DenseHead, ...] = ()
    normalize: bool = False
    parts: Mapping[str, str] = FrozenMap()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """What stands before texts.

    Attributes:
        stored: Name to prompt.
        roles: Of query and document, and of the default prompt.
        default: Role taken when none is asked for.
    """

    stored: Mapping[str, str]
    roles: Mapping[str, Role]
    default: str | None


def transformer_folder(files: RepoFiles) -> str | None:
    """Return the folder of the transformer that comes first, or None if there is no such module."""
    modules = _list(files)
    if modules is None:
        return ""
    if not modules or _kind(modules[0]) != "Transformer":
        return None
    return modules[0].text("path", "").strip("/")


def read_modules(files: RepoFiles, width: int) -> Modules:
    """Return what the modules after the transformer do.

    Args:
        files: The repository.
        width: Of a token.

    Raises:
        UnsupportedCheckpointError: A module, or an option of one, is not known here.
        FormatError: A file is broken.
    """
    modules = _list(files)
    if modules is None:
        return Modules()
    folder, *rest = [module.text("path", "").strip("/") for module in modules]
    kinds = [_kind(module) for module in modules]
    if _TOKEN_DENSE in kinds and kinds == ["Transformer", *[_TOKEN_DENSE] * len(rest)]:
        heads, parts = _denses(files, rest, width, TOKENS)
        return Modules(folder=folder, pooling="none", dense=heads, normalize=True, parts=parts)
    expected = ["Transformer", "Pooling", *["Dense"] * kinds.count("Dense")]
    if kinds not in (expected, [*expected, "Normalize"]):
        raise UnsupportedCheckpointError(
            f"{files.source} lists the modules {', '.join(kinds)}. Supported are Transformer, "
            "Pooling, any number of Dense, and Normalize, in this order; or Transformer and "
            "PyLate's Dense."
        )
    heads, parts = _denses(files, rest[1 : 1 + kinds.count("Dense")], width, SENTENCE)
    if kinds[-1] == "Normalize":
        _expect(SENTENCE, read_optional(files, f"{rest[-1]}/config.json"), files)
    return Modules(
        folder=folder,
        pooling=_pooling(read_optional(files, f"{rest[0]}/config.json"), files),
        dense=heads,
        normalize=kinds[-1] == "Normalize",
        parts=parts,
    )


def read_prompts(files: RepoFiles) -> Prompts:
    """Return the prompts of `config_sentence_transformers.json`.

    Raises:
        FormatError: The file is broken.
    """
    fields = read_optional(files, SETTINGS)
    values = fields.get("prompts")
    if not isinstance(values, dict | None):
        raise fields.wrong("prompts", "an object")
    stored = {name: Fields(values or {}, fields.file).text(name, "") for name in values or {}}
    document = next((name for name in _DOCUMENT if name in stored), "")
    roles = {
        "query": Role(prompt=stored.get("query", "")),
        "document": Role(prompt=stored.get(document, "")),
    }
    default = fields.text("default_prompt_name", "") or None
    if default is not None:
        if default not in stored:
            raise fields.wrong("default_prompt_name", f"one of {', '.join(stored) or 'no prompts'}")
        roles.setdefault(default, Role(prompt=stored[default]))
    return Prompts(stored=stored, roles=roles, default=default)


def similarity_name(files: RepoFiles) -> str:
    """Return how the authors compare vectors: cosine, unless the folder says otherwise."""
    fields = read_optional(files, SETTINGS)
    return fields.text("similarity_fn_name", "") or "cosine"


def _list(files: RepoFiles) -> list[Fields] | None:
    values = files.json(MODULES)
    if values is None and MODULES not in files.names():
        return None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise FormatError(f"{MODULES} of {files.source} is no list of objects.")
    return [Fields(value, MODULES) for value in values]


def _kind(module: Fields) -> str:
    """Return the class name of one of the library's own modules, or the whole path of another's."""
    path = module.text("type", "")
    return path.rpartition(".")[2] if path.startswith(_OWN) else path


def _pooling(fields: Fields, files: RepoFiles) -> Pooling:
    if not fields.flag("include_prompt", True):
        raise UnsupportedCheckpointError(f"{files.source} leaves the prompt out of the pooling.")
    given = fields.get("pooling_mode")
    if given is None:
        switched = [mode for key, mode in _SWITCHES.items() if fields.flag(key, False)]
        modes: list[Any] = switched or ["mean"]
    else:
        modes = given if isinstance(given, list) else [given]
    if not all(isinstance(mode, str) for mode in modes):
        raise fields.wrong("pooling_mode", "a name")
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise UnsupportedCheckpointError(
            f"{files.source} pools by {' + '.join(modes)}. Supported are {', '.join(_POOLINGS)}, "
            "one at a time."
        )
    return _POOLINGS[modes[0]]


def _denses(
    files: RepoFiles, places: Sequence[str], width: int, feature: Feature
) -> tuple[tuple[DenseHead, ...], Mapping[str, str]]:
    """Return the Dense layers in some folders, and their files."""
    heads: list[DenseHead] = []
    parts: dict[str, str] = {}
    for place in places:
        heads.append(_dense(read_optional(files, f"{place}/config.json"), files, width, feature))
        parts[f"dense.{len(parts)}."] = _dense_file(files, place)
        width = heads[-1].width
    return tuple(heads), parts


def _dense(fields: Fields, files: RepoFiles, width: int, feature: Feature) -> DenseHead:
    activation = fields.text("activation_function", _SILENT[feature])
    if activation not in _ACTIVATIONS:
        raise UnsupportedCheckpointError(
            f"{files.source} has a Dense layer with the activation {activation!r}; supported are "
            f"{', '.join(name.rpartition('.')[2] for name in _ACTIVATIONS)} of torch.nn."
        )
    if fields.flag("use_residual", False):
        raise UnsupportedCheckpointError(f"{files.source} has a Dense layer with a residual sum.")
    _expect(feature, fields, files)
    if fields.integer("in_features", most=_MOST) != width:
        raise fields.wrong("in_features", f"{width}, the width of what comes before")
    return DenseHead(
        width=fields.integer("out_features", most=_MOST),
        bias=fields.flag("bias", True),
        activation=_ACTIVATIONS[activation],
    )


def _expect(feature: Feature, fields: Fields, files: RepoFiles) -> None:
    """Refuse a module that works on anything but the text's vector, or else its tokens."""
    for name in ("module_input_name", "module_output_name"):
        found = fields.text(name, feature)
        if found != feature:
            raise UnsupportedCheckpointError(
                f"{fields.file} of {files.source} works on {found!r}, not on {feature!r}."
            )


def _dense_file(files: RepoFiles, folder: str) -> str:
    for name in _DENSE_FILES:
        if f"{folder}/{name}" in files.names():
            return f"{folder}/{name}"
    raise FormatError(f"{files.source} has no weights for the Dense layer in {folder!r}.")
