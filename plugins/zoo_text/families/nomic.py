"""Nomic Embed: Nussbaum et al., 2024. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.keys import KeyMap, drop, merge, move, split
from zoo.spec import Family, Role
from zoo_text.families.layouts import DENSE
from zoo_text.families.rows import text_model
from zoo_text.rotary_config import RotaryConfig

_LAYER, _BLOCK = "encoder.layers.{i}.", "blocks.{i}."

KEYMAPS = (
    KeyMap(
        name="Nomic's BERT",
        prefixes=("bert.", "nomic_bert."),
        rules=(
            move("embeddings.word_embeddings.weight", "embeddings.words.weight"),
            move("embeddings.token_type_embeddings.weight", "embeddings.types.weight"),
            move("emb_ln.{wb}", "embeddings.norm.{wb}"),
            split(
                _LAYER + "attn.Wqkv.weight",
                [f"{_BLOCK}attention.{name}.weight" for name in "qkv"],
            ),
            move(_LAYER + "attn.out_proj.weight", _BLOCK + "attention.proj.weight"),
            move(_LAYER + "norm1.{wb}", _BLOCK + "attention_norm.{wb}"),
            # fc12 is the gate, fc11 what it lets through.
            merge(
                [f"{_LAYER}mlp.{name}.weight" for name in ("fc12", "fc11")],
                _BLOCK + "mlp.fc1.weight",
            ),
            move(_LAYER + "mlp.fc2.weight", _BLOCK + "mlp.fc2.weight"),
            move(_LAYER + "norm2.{wb}", _BLOCK + "mlp_norm.{wb}"),
            *DENSE,
            drop("cls.*", "a head of pretraining"),
            drop("pooler.*", "pooling is another"),
            drop("encoder.layers.{i}.attn.rotary_emb.inv_freq", "computed from the numbers"),
        ),
    ),
)

FAMILY = Family(
    name="nomic-embed",
    title="Nomic Embed: Training a Reproducible Long Context Text Embedder",
    authors="Nussbaum, Zach and Morris, John X. and Duderstadt, Brandon and Mulyar, Andriy",
    arxiv="2402.01613",
    year=2024,
    objective="masked tokens, then contrastive, on Nomic's weakly supervised pairs and labelled "
    "ones",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)

BASE = RotaryConfig(
    vocab=30528,  # 30522 word pieces, filled up to a multiple of 64
    width=768,
    depth=12,
    heads=12,
    hidden=3072,
    longest=8192,
    type_vocab=2,
    theta=1000.0,
    normalize=True,
)

ROLES = {"query": Role(prompt="search_query: "), "document": Role(prompt="search_document: ")}
PROMPTS = {"clustering": "clustering: ", "classification": "classification: "}
# What the authors' own service takes where no task is named.
DEFAULT = "document"
PREFIX = (
    'Every text needs a prefix: role="query" or role="document", or prompt_name="clustering" or '
    '"classification". Without any, a text is taken as a document; prompt="" leaves it out.'
)
LONG = (
    " Trained on 2048 tokens: longer texts are encoded without the scaling of positions that the "
    "authors offer for them."
)

MODELS = (
    text_model(
        FAMILY,
        "nomic-embed-text-v1.5",
        aliases=("nomic-embed-text",),
        repo="nomic-ai/nomic-embed-text-v1.5",
        revision="b0753ae76394dd36bcfb912a46018088bca48be0",
        config=replace(BASE, vector_norm=True),
        params=136_731_648,
        max_length=8192,
        roles=ROLES,
        prompts=PROMPTS,
        default_role=DEFAULT,
        matryoshka=(768, 512, 256, 128, 64),
        note=PREFIX + LONG,
    ),
    text_model(
        FAMILY,
        "nomic-embed-text-v1",
        repo="nomic-ai/nomic-embed-text-v1",
        revision="0759316f275aa0cb93a5b830973843ca66babcf5",
        config=BASE,
        params=136_731_648,
        max_length=8192,
        roles=ROLES,
        prompts=PROMPTS,
        default_role=DEFAULT,
        note=PREFIX + LONG,
    ),
)
