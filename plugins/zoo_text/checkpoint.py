"""Recognise a BERT-like repository or folder by its configuration files. No torch.

Only what was understood is loaded: a model type that is not known here is left to other plugins; a
known one that asks for something else than the network here computes is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.fields import Fields, read_fields, read_optional
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec, TextPreprocess, WeightsSpec
from zoo_text.configs import Activation, BertConfig
from zoo_text.families import bert, distilbert, electra, roberta, xlm_roberta
from zoo_text.families.rows import MEAN_BY_CHOICE, text_inputs
from zoo_text.modules import (
    MODULES,
    Modules,
    read_modules,
    read_prompts,
    similarity_name,
    transformer_folder,
)

FAMILIES = {
    "bert": bert.FAMILY,
    "roberta": roberta.FAMILY,
    "camembert": roberta.FAMILY,
    "xlm-roberta": xlm_roberta.FAMILY,
    "distilbert": distilbert.FAMILY,
    "electra": electra.FAMILY,
}
# Positions are counted over real tokens and begin after the padding's.
_COUNTED = ("roberta", "camembert", "xlm-roberta")

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}

_SHORTEST = 3  # tokens
# Far beyond any network in use; a broken number must not ask for all memory.
_MOST_BLOCKS, _MOST_WIDE, _MOST_ROWS = 256, 100_000, 10_000_000

_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_TOKENIZERS = {"tokenizer.json": (), "vocab.txt": (), "vocab.json": ("merges.txt",)}
_SENTENCE_BERT = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "xlm-roberta")
)


def recognise(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Return the row of a BERT-like repository or folder, or None for any other.

    Raises:
        UnsupportedCheckpointError: It is BERT-like, but asks for what is not supported.
        FormatError: One of its files is broken.
    """
    folder = transformer_folder(files)
    if folder is None:
        return None
    fields = read_fields(files, _join(folder, "config.json"))
    if fields is None:
        return None
    kind = fields.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        return None
    _refuse_unsupported(fields, files)
    shape = _distilbert(fields) if kind == "distilbert" else _bert(fields, kind)
    if shape.width % shape.heads:
        raise FormatError(f"{fields.file}: {shape.heads} heads do not divide {shape.width}.")
    modules = read_modules(files, shape.width)
    return (_row(files, kind, shape, modules),)


def _row(files: RepoFiles, kind: str, shape: BertConfig, modules: Modules) -> ModelSpec:
    """Put a row together from what the files say."""
    config = replace(
        shape, pooling=modules.pooling, dense=modules.dense, normalize=modules.normalize
    )
    prompts = read_prompts(files)
    max_length, do_lower = _sentence_bert(files, modules.folder, config.longest)
    tokenizer, lower = _tokenizer(files, modules.folder, kind)
    return FAMILIES[kind].model(
        files.source,
        config=config,
        weights=WeightsSpec(
            source=files.source,
            files=_weights(files, modules.folder),
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
            clean="lower" if do_lower else "none",
            prompts=prompts.stored,
            roles=prompts.roles,
            default_role=prompts.default,
        ),
        inputs=text_inputs(max_length),
        params=config.params,
        license="unknown",
        note=_note(files),
        source=files.source,
    )


def _refuse_unsupported(fields: Fields, files: RepoFiles) -> None:
    position = fields.text("position_embedding_type", "absolute")
    reasons = {
        "wants its own code to be run (auto_map)": bool(fields.get("auto_map")),
        "is a decoder": fields.flag("is_decoder", False),
        "attends to another sequence": fields.flag("add_cross_attention", False),
        f"has {position!r} position embeddings": position != "absolute",
    }
    for reason, holds in reasons.items():
        if holds:
            raise UnsupportedCheckpointError(
                f"{files.source} {reason}, by its {fields.file}. Supported are plain encoders with "
                "absolute positions."
            )


def _bert(fields: Fields, kind: str) -> BertConfig:
    counted = kind in _COUNTED
    width = fields.integer("hidden_size", most=_MOST_WIDE)
    embedded = width
    if kind == "electra":
        embedded = fields.integer("embedding_size", most=_MOST_WIDE)
    vocab = fields.integer("vocab_size", most=_MOST_ROWS)
    pad_id = fields.integer("pad_token_id", int(counted), least=0, most=vocab - 1)
    offset = pad_id + 1 if counted else 0
    return BertConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("num_hidden_layers", most=_MOST_BLOCKS),
        heads=fields.integer("num_attention_heads", most=_MOST_WIDE),
        hidden=fields.integer("intermediate_size", most=_MOST_WIDE),
        max_positions=fields.integer(
            "max_position_embeddings", least=offset + _SHORTEST, most=_MOST_ROWS
        ),
        type_vocab=fields.integer("type_vocab_size", 2, most=_MOST_ROWS),
        position_offset=offset,
        pad_id=pad_id,
        embedding_width=None if embedded == width else embedded,
        eps=fields.positive("layer_norm_eps", 1e-12),
        activation=_activation(fields, "hidden_act"),
    )


def _distilbert(fields: Fields) -> BertConfig:
    vocab = fields.integer("vocab_size", most=_MOST_ROWS)
    return BertConfig(
        vocab=vocab,
        width=fields.integer("dim", most=_MOST_WIDE),
        depth=fields.integer("n_layers", most=_MOST_BLOCKS),
        heads=fields.integer("n_heads", most=_MOST_WIDE),
        hidden=fields.integer("hidden_dim", most=_MOST_WIDE),
        max_positions=fields.integer("max_position_embeddings", least=_SHORTEST, most=_MOST_ROWS),
        type_vocab=0,
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
        activation=_activation(fields, "activation"),
    )


def _activation(fields: Fields, field: str) -> Activation:
    name = fields.text(field, "gelu")
    if name not in _ACTIVATIONS:
        raise UnsupportedCheckpointError(
            f"{fields.file} asks for the activation {name!r}. Supported are "
            f"{', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[name]


def _weights(files: RepoFiles, folder: str) -> tuple[str, ...]:
    """Return the weight files that are there, in order of preference."""
    there = tuple(name for name in _WEIGHTS if _join(folder, name) in files.names())
    if not there:
        raise UnsupportedCheckpointError(
            f"{files.source} has neither safetensors nor PyTorch weights"
            f"{f' in {folder!r}' if folder else ''}."
        )
    return there


def _tokenizer(files: RepoFiles, folder: str, kind: str) -> tuple[tuple[str, ...], bool]:
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
            "(vocab.txt, or vocab.json with merges.txt). Save its tokenizer with transformers "
            "as tokenizer.json."
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


def _note(files: RepoFiles) -> str:
    if MODULES not in files.names():
        return MEAN_BY_CHOICE
    name = similarity_name(files)
    return "" if name == "cosine" else f"Its authors compare vectors by {name}, not by cosine."


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
