"""ModernBERT: Warner et al., 2024, and the embedder made of it. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.keys import KeyMap, drop, move, split
from zoo.spec import Family
from zoo_text.families import nomic
from zoo_text.families.layouts import DENSE
from zoo_text.families.nomic import DEFAULT, PREFIX, PROMPTS, ROLES
from zoo_text.families.rows import text_model
from zoo_text.rotary_config import RotaryConfig

_LAYER, _BLOCK = "layers.{i}.", "blocks.{i}."

KEYMAPS = (
    KeyMap(
        name="transformers ModernBERT",
        prefixes=("model.",),
        rules=(
            move("embeddings.tok_embeddings.weight", "embeddings.words.weight"),
            move("embeddings.norm.weight", "embeddings.norm.weight"),
            split(
                _LAYER + "attn.Wqkv.weight",
                [f"{_BLOCK}attention.{name}.weight" for name in "qkv"],
            ),
            move(_LAYER + "attn.Wo.weight", _BLOCK + "attention.proj.weight"),
            move(_LAYER + "attn_norm.weight", _BLOCK + "attention_norm.weight"),
            move(_LAYER + "mlp.Wi.weight", _BLOCK + "mlp.fc1.weight"),
            move(_LAYER + "mlp.Wo.weight", _BLOCK + "mlp.fc2.weight"),
            move(_LAYER + "mlp_norm.weight", _BLOCK + "mlp_norm.weight"),
            move("final_norm.weight", "norm.weight"),
            *DENSE,
            *(
                drop(head, "a head of pretraining or of a task")
                for head in ("head.*", "decoder.*", "classifier.*")
            ),
        ),
    ),
)

FAMILY = Family(
    name="modernbert",
    title="Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder for Fast, Memory "
    "Efficient, and Long Context Finetuning and Inference",
    authors="Warner, Benjamin and others",
    arxiv="2412.13663",
    year=2024,
    objective="masked tokens",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)

BASE = RotaryConfig(
    vocab=50368,
    width=768,
    depth=22,
    heads=12,
    hidden=1152,
    longest=8192,
    pad_id=50283,
    pre_norm=True,
    norm_bias=False,
    eps=1e-5,
    activation="gelu",
    theta=160_000.0,
    local_theta=10_000.0,
    window=64,
    global_every=3,
)

MODELS = (
    text_model(
        FAMILY,
        "modernbert-embed-base",
        repo="nomic-ai/modernbert-embed-base",
        revision="5960f1566fb7cb1adf1eb6e816639cf4646d9b12",
        config=replace(BASE, normalize=True),
        params=149_014_272,
        tokenizer=("tokenizer.json",),
        max_length=8192,
        pad_id=50283,
        roles=ROLES,
        prompts=PROMPTS,
        default_role=DEFAULT,
        matryoshka=(768, 256),
        objective="masked tokens, then contrastive, on Nomic's weakly supervised pairs and "
        "labelled ones",
        papers=(nomic.FAMILY.paper,),
        note=PREFIX,
    ),
)
