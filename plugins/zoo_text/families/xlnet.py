"""XLNet: Yang et al., 2019. No torch."""

from __future__ import annotations

from dataclasses import replace

from zoo.keys import KeyMap, drop, move
from zoo.spec import Family
from zoo_text.families.layouts import DENSE
from zoo_text.families.rows import text_model
from zoo_text.xlnet_config import XlnetConfig

_LAYER, _BLOCK = "layer.{i}.", "blocks.{i}."
_ATTENTION = {"q": "q", "k": "k", "v": "v", "r": "distance"}
_BIASES = {"r_w_bias": "content_bias", "r_r_bias": "distance_bias", "r_s_bias": "segment_bias",
           "seg_embed": "segments"}  # fmt: skip

KEYMAPS = (
    KeyMap(
        name="transformers XLNet",
        prefixes=("transformer.",),
        rules=(
            move("word_embedding.weight", "words.weight"),
            drop("mask_emb", "what stands for a word to be guessed in pretraining"),
            # (W, H, E): the input first, the heads on an axis of their own
            *(
                move(
                    f"{_LAYER}rel_attn.{theirs}",
                    f"{_BLOCK}attention.{ours}.weight",
                    flatten=True,
                    transpose=True,
                )
                for theirs, ours in _ATTENTION.items()
            ),
            move(_LAYER + "rel_attn.o", _BLOCK + "attention.proj.weight", flatten=True),
            *(
                move(f"{_LAYER}rel_attn.{theirs}", f"{_BLOCK}attention.{ours}")
                for theirs, ours in _BIASES.items()
            ),
            move(_LAYER + "rel_attn.layer_norm.{wb}", _BLOCK + "attention_norm.{wb}"),
            move(_LAYER + "ff.layer_1.{wb}", _BLOCK + "mlp.fc1.{wb}"),
            move(_LAYER + "ff.layer_2.{wb}", _BLOCK + "mlp.fc2.{wb}"),
            move(_LAYER + "ff.layer_norm.{wb}", _BLOCK + "mlp_norm.{wb}"),
            *DENSE,
            *(
                drop(head, "a head of pretraining or of a task")
                for head in ("lm_loss.*", "sequence_summary.*", "logits_proj.*", "classifier.*")
            ),
        ),
    ),
)

FAMILY = Family(
    name="xlnet",
    title="XLNet: Generalized Autoregressive Pretraining for Language Understanding",
    authors="Yang, Zhilin and others",
    arxiv="1906.08237",
    year=2019,
    objective="next tokens in permuted orders",
    license="mit",
    modality="text",
    languages=("en",),
    keymaps=KEYMAPS,
)

BASE = XlnetConfig(
    vocab=32000, width=768, depth=12, heads=12, hidden=3072, pad_id=5, pooling="last"
)
NOTE = (
    "The vector is the class token's, which stands at the end; "
    'spec.with_config(pooling="mean") takes the mean of all tokens instead.'
)

MODELS = (
    text_model(
        FAMILY,
        "xlnet-base-cased",
        aliases=("xlnet-base",),
        repo="xlnet/xlnet-base-cased",
        config=BASE,
        params=116_717_568,
        tokenizer=("tokenizer.json",),
        pad_id=5,
        note=NOTE,
    ),
    text_model(
        FAMILY,
        "xlnet-large-cased",
        aliases=("xlnet-large",),
        repo="xlnet/xlnet-large-cased",
        config=replace(BASE, width=1024, depth=24, heads=16, hidden=4096),
        params=360_267_776,
        tokenizer=("tokenizer.json",),
        pad_id=5,
        note=NOTE,
    ),
)
