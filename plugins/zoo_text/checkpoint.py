"""Recognise the repository or folder of a text encoder by its configuration files. No torch.

Only what was understood is loaded: a model type that is not known here is left to other plugins; a
known one that asks for something else than the network here computes is refused with the reason.
"""

from __future__ import annotations

from dataclasses import replace

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import Fields, read_fields, read_optional, weight_files
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec, TextPreprocess, WeightsSpec
from zoo_text.architectures import ARCHITECTURES, Architecture
from zoo_text.colbert_checkpoint import is_colbert, late_interaction
from zoo_text.configs import Pooling, TextConfig
from zoo_text.families.rows import LAST_BY_CHOICE, MEAN_BY_CHOICE, text_inputs
from zoo_text.modules import (
    MODULES,
    Modules,
    read_modules,
    read_prompts,
    similarity_name,
    transformer_folder,
)
from zoo_text.pylate_checkpoint import late_interaction_of_pylate

_SHORTEST = 3  # tokens

_TOKENIZERS = {
    "tokenizer.json": (),
    "vocab.txt": (),
    "spm.model": (),
    "vocab.json": ("merges.txt",),
}
_SENTENCE_BERT = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "xlm-roberta")
)


def recognise(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Return the row of a text encoder's repository or folder, or None for any other.

    Raises:
        UnsupportedCheckpointError: It is a text encoder, but asks for what is not supported.
        FormatError: One of its files is broken.
    """
    folder = transformer_folder(files)
    if folder is None:
        return None
    fields = read_fields(files, _join(folder, "config.json"))
    if fields is None:
        return None
    kind = fields.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        return None
    architecture = ARCHITECTURES[kind]
    _refuse_unsupported(fields, files, own_code=architecture.own_code)
    shape = architecture.read(fields)
    modules = read_modules(files, shape.width)
    row = _row(files, architecture, shape, modules)
    if is_colbert(fields):
        return (late_interaction(row, files),)
    return (late_interaction_of_pylate(row, files) if row.pooling == "none" else row,)


def _row(
    files: RepoFiles, architecture: Architecture, shape: TextConfig, modules: Modules
) -> ModelSpec:
    """Put a row together from what the files say."""
    pooling = modules.pooling if MODULES in files.names() else architecture.pooling
    config = replace(shape, pooling=pooling, dense=modules.dense, normalize=modules.normalize)
    prompts = read_prompts(files)
    max_length, do_lower = _sentence_bert(files, modules.folder, config.longest)
    tokenizer, lower = _tokenizer(files, modules.folder)
    return architecture.family.model(
        files.source,
        config=config,
        weights=WeightsSpec(
            source=files.source,
            files=weight_files(files, modules.folder),
            subfolder=modules.folder,
            parts=modules.parts,
            revision=files.revision,
            layout="transformers",
        ),
        preprocess=TextPreprocess(
            max_length=max_length,
            tokenizer=tokenizer,
            lower=lower,
            pad_id=config.pad_id,
            ending=architecture.ending or _ending(files, modules.folder),
            clean="lower" if do_lower else "none",
            prompts=prompts.stored,
            roles=prompts.roles,
            default_role=prompts.default,
        ),
        inputs=text_inputs(max_length),
        params=config.params,
        license="unknown",
        objective="see the repository",
        languages=(),
        note=_note(files, pooling),
        source=files.source,
    )


def _refuse_unsupported(fields: Fields, files: RepoFiles, *, own_code: bool) -> None:
    position = fields.text("position_embedding_type", "absolute")
    reasons = {
        "wants its own code to be run (auto_map)": bool(fields.get("auto_map")) and not own_code,
        "is a decoder": fields.flag("is_decoder", False),
        "attends to another sequence": fields.flag("add_cross_attention", False),
        f"has {position!r} position embeddings": position != "absolute",
    }
    for reason, holds in reasons.items():
        if holds:
            raise UnsupportedCheckpointError(
                f"{files.source} {reason}, by its {fields.file}. Supported are plain encoders."
            )


def _tokenizer(files: RepoFiles, folder: str) -> tuple[tuple[str, ...], bool]:
    """Return the tokenizer files that are there, and whether a `vocab.txt` is lower case."""
    names = files.names()
    there = tuple(
        name
        for name, others in _TOKENIZERS.items()
        if all(_join(folder, part) in names for part in (name, *others))
    )
    if not there:
        raise UnsupportedCheckpointError(
            f"{files.source} has no tokenizer.json, nor a vocabulary that says all "
            "(vocab.txt, spm.model, or vocab.json with merges.txt). Save its tokenizer with "
            "transformers as tokenizer.json."
        )
    fields = read_optional(files, _join(folder, "tokenizer_config.json"))
    lower = fields.flag("do_lower_case", True)
    if there[0] == "vocab.txt":
        odd = not fields.flag("tokenize_chinese_chars", True)
        if odd or fields.flag("strip_accents", lower) != lower:
            raise UnsupportedCheckpointError(
                f"{fields.file} of {files.source} splits words in an unusual way, which takes a "
                "tokenizer.json."
            )
    return there, lower


def _sentence_bert(files: RepoFiles, folder: str, longest: int) -> tuple[int, bool]:
    """Return the longest sequence, and whether texts are made lower case first."""
    names = files.names()
    name = next((name for name in _SENTENCE_BERT if _join(folder, name) in names), "")
    fields = read_optional(files, _join(folder, name)) if name else Fields({}, _SENTENCE_BERT[0])
    field, source = "max_seq_length", fields
    if fields.get(field) is None:
        field = "model_max_length"
        source = read_optional(files, _join(folder, "tokenizer_config.json"))
    # Transformers writes 1e30 where it does not know.
    length = int(source.positive(field, longest))
    if length < _SHORTEST:
        raise source.wrong(field, f"at least {_SHORTEST}: a token between two special ones")
    return min(length, longest), fields.flag("do_lower_case", False)


def _ending(files: RepoFiles, folder: str) -> str:
    """Return the token that language models' tokenizers add when they are told to."""
    fields = read_optional(files, _join(folder, "tokenizer_config.json"))
    if not fields.flag("add_eos_token", False):
        return ""
    token = fields.get("eos_token")
    return (
        fields.inner("eos_token").text("content")
        if isinstance(token, dict)
        else fields.text("eos_token")
    )


def _note(files: RepoFiles, pooling: Pooling) -> str:
    if MODULES not in files.names():
        return LAST_BY_CHOICE if pooling == "last" else MEAN_BY_CHOICE
    name = similarity_name(files)
    return "" if name == "cosine" else f"Its authors compare vectors by {name}, not by cosine."


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
