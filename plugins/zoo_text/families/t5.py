"""T5: Raffel et al., 2019, Flan-T5, and the sentence encoders made of it. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.keys import KeyMap, Rule, drop, merge, move
from zoo.spec import Family
from zoo_text.configs import DenseHead
from zoo_text.families.layouts import DENSE
from zoo_text.families.rows import text_model
from zoo_text.t5_config import T5Config


def _blocks() -> tuple[Rule, ...]:
    layer, block = "encoder.block.{i}.layer.", "blocks.{i}."
    attention = layer + "0.SelfAttention."
    return (
        *(move(f"{attention}{name}.weight", f"{block}attention.{name}.weight") for name in "qkv"),
        move(attention + "o.weight", block + "attention.proj.weight"),
        move(layer + "0.layer_norm.weight", block + "attention_norm.weight"),
        move(layer + "1.DenseReluDense.wi.weight", block + "mlp.fc1.weight"),
        merge(
            [f"{layer}1.DenseReluDense.wi_{half}.weight" for half in "01"],
            block + "mlp.fc1.weight",
        ),
        move(layer + "1.DenseReluDense.wo.weight", block + "mlp.fc2.weight"),
        move(layer + "1.layer_norm.weight", block + "mlp_norm.weight"),
    )


def _t5(name: str, *words: Rule) -> KeyMap:
    return KeyMap(
        name=name,
        rules=(
            *words,
            move(
                "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                "positions.weight",
            ),
            *_blocks(),
            move("encoder.final_layer_norm.weight", "norm.weight"),
            *DENSE,
            drop("decoder.*", "the half that generates text"),
            drop("lm_head.*", "a head of pretraining"),
        ),
    )


# The embeddings are shared by both halves: a file holds them under one name, or several.
KEYMAPS = (
    _t5(
        "transformers T5",
        move("shared.weight", "words.weight"),
        drop("encoder.embed_tokens.weight", "the same tensor as shared.weight"),
    ),
    _t5("transformers T5, its encoder alone", move("encoder.embed_tokens.weight", "words.weight")),
)

FAMILY = Family(
    name="t5",
    title="Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    authors="Raffel, Colin and others",
    arxiv="1910.10683",
    year=2019,
    objective="corrupted spans of C4, then supervised tasks, all as text to text",
    license="apache-2.0",
    modality="text",
    languages=("en", "fr", "ro", "de"),
    keymaps=KEYMAPS,
)
FLAN = Family(
    name="flan-t5",
    title="Scaling Instruction-Finetuned Language Models",
    authors="Chung, Hyung Won and others",
    arxiv="2210.11416",
    year=2022,
    objective="corrupted spans of C4, then 1836 tasks given as instructions",
    license="apache-2.0",
    modality="text",
    languages=("en", "fr", "ro", "de"),
    keymaps=KEYMAPS,
)
SENTENCE_T5 = Family(
    name="sentence-t5",
    title="Sentence-T5: Scalable Sentence Encoders from Pre-trained Text-to-Text Models",
    authors="Ni, Jianmo and others",
    arxiv="2108.08877",
    year=2021,
    objective="contrastive, on question-answer pairs and natural-language inference",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)
GTR = Family(
    name="gtr",
    title="Large Dual Encoders Are Generalizable Retrievers",
    authors="Ni, Jianmo and others",
    arxiv="2112.07899",
    year=2021,
    objective="contrastive, on question-answer pairs, then on MS MARCO and Natural Questions",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)

BASE = T5Config(vocab=32128, width=768, depth=12, heads=12, hidden=3072)
SMALL = replace(BASE, width=512, depth=6, heads=8, hidden=2048)
LARGE = replace(BASE, width=1024, depth=24, heads=16, hidden=4096)
FLAN_BASE = replace(BASE, hidden=2048, gated=True, activation="gelu_tanh")

SENTENCE = replace(
    BASE, dense=(DenseHead(width=768, bias=False, activation="none"),), normalize=True
)
SENTENCE_PARTS = {"dense.0.": "2_Dense/pytorch_model.bin"}

TOKENIZER = ("tokenizer.json",)
ENDING = "</s>"

MEAN_BY_CHOICE = (
    "The authors define no vector for a whole text; the default here is the mean of its tokens, "
    "the closing one included."
)

MODELS = (
    text_model(
        FAMILY,
        "t5-small-encoder",
        aliases=("t5-small",),
        repo="google-t5/t5-small",
        config=SMALL,
        params=35_330_816,
        tokenizer=TOKENIZER,
        ending=ENDING,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "t5-base-encoder",
        aliases=("t5-base",),
        repo="google-t5/t5-base",
        config=BASE,
        params=109_628_544,
        tokenizer=TOKENIZER,
        ending=ENDING,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        FAMILY,
        "t5-large-encoder",
        aliases=("t5-large",),
        repo="google-t5/t5-large",
        config=LARGE,
        params=334_939_648,
        tokenizer=TOKENIZER,
        ending=ENDING,
        note=f"{MEAN_BY_CHOICE} In float16 its feed-forward halves overflow: use bfloat16.",
    ),
    text_model(
        FLAN,
        "flan-t5-base-encoder",
        aliases=("flan-t5-base",),
        repo="google/flan-t5-base",
        revision="7bcac572ce56db69c1ea7c8af255c5d7c9672fc2",
        config=FLAN_BASE,
        params=109_628_544,
        tokenizer=TOKENIZER,
        ending=ENDING,
        note=MEAN_BY_CHOICE,
    ),
    text_model(
        SENTENCE_T5,
        "sentence-t5-base",
        repo="sentence-transformers/sentence-t5-base",
        revision="50c53e206f8b01c9621484a3c0aafce4e55efebf",
        config=SENTENCE,
        parts=SENTENCE_PARTS,
        params=110_218_368,
        max_length=256,
        tokenizer=TOKENIZER,
        ending=ENDING,
        weights_note="float16 on disk",
    ),
    text_model(
        GTR,
        "gtr-t5-base",
        repo="sentence-transformers/gtr-t5-base",
        revision="7027e9594267928589816394bdd295273ddc0739",
        config=SENTENCE,
        parts=SENTENCE_PARTS,
        params=110_218_368,
        tokenizer=TOKENIZER,
        ending=ENDING,
        weights_note="float16 on disk",
    ),
)
