"""E5-Mistral: Wang et al., 2023: a language model as an encoder. No torch."""

from __future__ import annotations

from zoo.keys import KeyMap, drop, move
from zoo.spec import Family
from zoo_text.decoder_config import DecoderConfig
from zoo_text.families.e5 import INSTRUCT_ROLES
from zoo_text.families.layouts import DENSE
from zoo_text.families.rows import text_model

_LAYER, _BLOCK = "layers.{i}.", "blocks.{i}."

KEYMAPS = (
    KeyMap(
        name="transformers Mistral",
        prefixes=("model.",),
        rules=(
            move("embed_tokens.weight", "words.weight"),
            *(
                move(f"{_LAYER}self_attn.{name}_proj.weight", f"{_BLOCK}attention.{name}.weight")
                for name in "qkv"
            ),
            move(_LAYER + "self_attn.o_proj.weight", _BLOCK + "attention.proj.weight"),
            *(
                move(f"{_LAYER}mlp.{name}_proj.weight", f"{_BLOCK}mlp.{name}.weight")
                for name in ("gate", "up", "down")
            ),
            move(_LAYER + "input_layernorm.weight", _BLOCK + "attention_norm.weight"),
            move(_LAYER + "post_attention_layernorm.weight", _BLOCK + "mlp_norm.weight"),
            move("norm.weight", "norm.weight"),
            *DENSE,
            drop("lm_head.*", "the head that generates text"),
            drop(_LAYER + "self_attn.rotary_emb.inv_freq", "computed from the numbers"),
        ),
    ),
)

FAMILY = Family(
    name="e5-mistral",
    title="Improving Text Embeddings with Large Language Models",
    authors="Wang, Liang and others",
    arxiv="2401.00368",
    year=2023,
    objective="next tokens, then contrastive, on synthetic tasks",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)

MODELS = (
    text_model(
        FAMILY,
        "e5-mistral-7b-instruct",
        aliases=("e5-mistral",),
        repo="intfloat/e5-mistral-7b-instruct",
        revision="07163b72af1488142a360786df853f237b1a3ca1",
        files=("model.safetensors.index.json",),
        config=DecoderConfig(
            vocab=32000,
            width=4096,
            depth=32,
            heads=32,
            shared_heads=8,
            head_width=128,
            hidden=14336,
            longest=32768,
            window=4096,
            pad_id=2,
            pooling="last",
            normalize=True,
        ),
        params=7_110_660_096,
        tokenizer=("tokenizer.json",),
        max_length=4096,
        pad_id=2,
        ending="</s>",
        roles=INSTRUCT_ROLES,
        note='Queries carry an instruction: role="query" gives that of web search; for another '
        'task use prompt="Instruct: {task}\\nQuery: ". Documents carry none. The vector is that of '
        "the closing token. The authors advise against more than 4096 tokens.",
        weights_note="float16 on disk, 14 GB",
    ),
)
