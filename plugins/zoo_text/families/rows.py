"""How a text encoder's facts become a row, and the sizes that several papers share. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from zoo.frozen import FrozenMap
from zoo.spec import (
    BATCH,
    Dim,
    Family,
    ModelSpec,
    Paper,
    Role,
    TensorSpec,
    TextPreprocess,
    WeightsSpec,
)
from zoo_text.configs import BertConfig, TextConfig

# BERT's own sizes, with its English uncased vocabulary.
MINI = BertConfig(vocab=30522, width=384, depth=12, heads=12, hidden=1536)
BASE = BertConfig(vocab=30522, width=768, depth=12, heads=12, hidden=3072)
LARGE = BertConfig(vocab=30522, width=1024, depth=24, heads=16, hidden=4096)

XLM_R_VOCAB = 250002

LAST_BY_CHOICE = (
    "The authors define no vector for a whole text; the default here is that of its last token. "
    'spec.with_config(pooling="mean") takes the mean of all tokens instead.'
)
MEAN_BY_CHOICE = (
    "The authors define no vector for a whole text; the default here is the mean of its tokens. "
    'spec.with_config(pooling="cls") takes the class token instead.'
)

FILES = ("model.safetensors", "pytorch_model.bin")

# What is attended to; and for late interaction what gives a vector.
MASKS = ("attention_mask",)
VECTOR_MASKS = ("attention_mask", "vector_mask")

NO_ROLES: Mapping[str, Role] = FrozenMap()


def roberta(config: BertConfig, *, vocab: int = 50265) -> BertConfig:
    """Return a size as RoBERTa has it: positions from 2, one token type, another epsilon."""
    return replace(
        config,
        vocab=vocab,
        max_positions=514,
        type_vocab=1,
        position_offset=2,
        pad_id=1,
        eps=1e-5,
    )


def text_model(
    family: Family,
    name: str,
    *,
    repo: str,
    files: tuple[str, ...] = FILES,
    config: TextConfig,
    params: int,
    tokenizer: tuple[str, ...] = ("tokenizer.json", "vocab.txt"),
    max_length: int = 512,
    pad_id: int = 0,
    lower: bool = True,
    ending: str = "",
    roles: Mapping[str, Role] = NO_ROLES,
    default_role: str | None = None,
    prompts: Mapping[str, str] = FrozenMap(),
    matryoshka: tuple[int, ...] = (),
    aliases: tuple[str, ...] = (),
    revision: str | None = None,
    sha256: Mapping[str, str] = FrozenMap(),
    parts: Mapping[str, str] = FrozenMap(),
    license: str | None = None,
    objective: str | None = None,
    year: int | None = None,
    languages: tuple[str, ...] | None = None,
    papers: tuple[Paper, ...] = (),
    note: str = "",
    weights_note: str = "",
) -> ModelSpec:
    """Make the row of one repository of the Hub."""
    several = config.pooling == "none"
    return family.model(
        name,
        config=config,
        weights=WeightsSpec(
            source=f"hf:{repo}",
            files=files,
            revision=revision,
            sha256=sha256,
            parts=parts,
            layout="transformers",
            note=weights_note,
        ),
        preprocess=TextPreprocess(
            max_length=max_length,
            tokenizer=tokenizer,
            lower=lower,
            pad_id=pad_id,
            ending=ending,
            roles=roles,
            default_role=default_role,
            prompts=prompts,
        ),
        inputs=text_inputs(max_length, masks=VECTOR_MASKS if several else MASKS),
        outputs=("tokens",) if several else ("pooled", "tokens"),
        params=params,
        matryoshka=matryoshka,
        aliases=aliases,
        license=license,
        objective=objective,
        year=year,
        languages=languages,
        papers=papers,
        note=note,
        source=f"https://huggingface.co/{repo}/blob/{revision or 'main'}/config.json",
    )


def text_inputs(max_length: int, *, masks: Sequence[str] = MASKS) -> tuple[TensorSpec, ...]:
    """Return the inputs of a text encoder.

    Args:
        max_length: Tokens of its longest text.
        masks: Names of those that say which tokens count.
    """
    length = Dim(name="length", min=1, typical=min(128, max_length), max=max_length)
    return (
        TensorSpec(name="input_ids", dtype="int64", shape=(BATCH, length), padding="masked"),
        *(
            TensorSpec(
                name=name, dtype="int64", shape=(BATCH, length), padding="masked", skippable=True
            )
            for name in masks
        ),
    )
