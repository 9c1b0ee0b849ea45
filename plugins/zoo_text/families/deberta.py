"""DeBERTa v3: He et al., 2021; English in four sizes, and multilingual. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.keys import KeyMap, drop, move
from zoo.spec import Family
from zoo_text.deberta_config import DebertaConfig
from zoo_text.families.layouts import DENSE, GAMMA_BETA
from zoo_text.families.rows import MEAN_BY_CHOICE, text_model

_LAYER, _BLOCK = "encoder.layer.{i}.", "blocks.{i}."

KEYMAPS = (
    KeyMap(
        name="transformers DeBERTa v2",
        prefixes=("deberta.",),
        renames=GAMMA_BETA,
        rules=(
            move("embeddings.word_embeddings.weight", "embeddings.words.weight"),
            move("embeddings.LayerNorm.{wb}", "embeddings.norm.{wb}"),
            drop("embeddings.position_embeddings.weight", "the network adds none to its input"),
            drop("embeddings.position_ids", "a buffer of consecutive numbers"),
            move("encoder.rel_embeddings.weight", "distances.table.weight"),
            move("encoder.LayerNorm.{wb}", "distances.norm.{wb}"),
            *(
                move(
                    f"{_LAYER}attention.self.{name}_proj.{{wb}}",
                    f"{_BLOCK}attention.{name[0]}.{{wb}}",
                )
                for name in ("query", "key", "value")
            ),
            move(_LAYER + "attention.output.dense.{wb}", _BLOCK + "attention.proj.{wb}"),
            move(_LAYER + "attention.output.LayerNorm.{wb}", _BLOCK + "attention_norm.{wb}"),
            move(_LAYER + "intermediate.dense.{wb}", _BLOCK + "mlp.fc1.{wb}"),
            move(_LAYER + "output.dense.{wb}", _BLOCK + "mlp.fc2.{wb}"),
            move(_LAYER + "output.LayerNorm.{wb}", _BLOCK + "mlp_norm.{wb}"),
            *DENSE,
            *(
                drop(head, "a head of pretraining or of a task")
                for head in (
                    "lm_predictions.*",
                    "mask_predictions.*",
                    "cls.*",
                    "pooler.*",
                    "classifier.*",
                    "qa_outputs.*",
                )
            ),
        ),
    ),
)

FAMILY = Family(
    name="deberta-v3",
    title="DeBERTaV3: Improving DeBERTa using ELECTRA-Style Pre-Training with "
    "Gradient-Disentangled Embedding Sharing",
    authors="He, Pengcheng and Gao, Jianfeng and Chen, Weizhu",
    arxiv="2111.09543",
    year=2021,
    objective="replaced tokens, with embeddings shared but for their gradients",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)

BASE = DebertaConfig(vocab=128100, width=768, depth=12, heads=12, hidden=3072)

# The repositories have no tokenizer.json; whoever saved one with transformers is served by it.
TOKENIZER = ("tokenizer.json", "spm.model")
HALF = "float16 on disk"

MODELS = (
    text_model(
        FAMILY,
        "deberta-v3-xsmall",
        repo="microsoft/deberta-v3-xsmall",
        config=replace(BASE, width=384, heads=6, hidden=1536),
        params=70_682_112,
        tokenizer=TOKENIZER,
        note=MEAN_BY_CHOICE,
        weights_note=HALF,
    ),
    text_model(
        FAMILY,
        "deberta-v3-small",
        repo="microsoft/deberta-v3-small",
        config=replace(BASE, depth=6),
        params=141_304_320,
        tokenizer=TOKENIZER,
        note=MEAN_BY_CHOICE,
        weights_note=HALF,
    ),
    text_model(
        FAMILY,
        "deberta-v3-base",
        repo="microsoft/deberta-v3-base",
        config=BASE,
        params=183_831_552,
        tokenizer=TOKENIZER,
        note=MEAN_BY_CHOICE,
        weights_note=HALF,
    ),
    text_model(
        FAMILY,
        "deberta-v3-large",
        repo="microsoft/deberta-v3-large",
        config=replace(BASE, width=1024, depth=24, heads=16, hidden=4096),
        params=434_012_160,
        tokenizer=TOKENIZER,
        note=MEAN_BY_CHOICE,
        weights_note=HALF,
    ),
    text_model(
        FAMILY,
        "mdeberta-v3-base",
        repo="microsoft/mdeberta-v3-base",
        config=replace(BASE, vocab=251000),
        params=278_218_752,
        tokenizer=TOKENIZER,
        objective="replaced tokens, CC-100 (100 languages)",
        languages=("multilingual",),
        note=MEAN_BY_CHOICE,
        weights_note=HALF,
    ),
)
