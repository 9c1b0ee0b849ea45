"""Tiny live SigLIPs of transformers, timm and open_clip, and a tokenizer trained here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import sentencepiece
import torch
import transformers
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tests.reference import make_live
from zoo.encoder import Encoder
from zoo.loading import load_row
from zoo.preprocess.standin import standin_tokenizer
from zoo.spec import ModelSpec, WeightsSpec
from zoo_multimodal.families.siglip import (
    ROWS,
    SIGLIP,
    image_preprocess,
    siglip_towers,
    text_preprocess,
)
from zoo_multimodal.families.towers import Pair

VOCAB, CONTEXT = 120, 16


def tiny_pair(*, activation: Any = "gelu_tanh") -> Pair:
    """Return configs of a few thousand parameters with all features."""
    image, text = ROWS[0].config, ROWS[1].config
    numbers: dict[str, Any] = {"width": 32, "depth": 2, "heads": 4, "hidden": 48,
                               "activation": activation}  # fmt: skip
    return Pair(
        image=replace(image, **numbers, image_size=(16, 16), patch=4),  # type: ignore[type-var]
        text=replace(text, **numbers, projection=32, vocab=VOCAB, context=CONTEXT),  # type: ignore[type-var]
    )


def tiny_rows(pair: Pair) -> tuple[ModelSpec, ModelSpec]:
    """Return the rows of a pair."""
    return siglip_towers(
        SIGLIP,
        "tiny",
        image="tiny-image",
        text="tiny-text",
        pair=pair,
        weights=WeightsSpec(
            source="none", files=("model.safetensors", "open_clip_model.safetensors"), reason="tiny"
        ),
        params=(pair.image.params, pair.text.params),
        recipes=(image_preprocess(16), text_preprocess(pair.text.context, "c4")),
    )


def load(pair: Pair, folder: Path, dtype: str = "float64") -> tuple[Encoder, Encoder]:
    """Load both towers from a folder, as a user would; the tokenizer plays no part."""
    standin_tokenizer(VOCAB, pad_id=1, ending="</s>").save(str(folder / "tokenizer.json"))
    image, text = (load_row(row, weights=folder, dtype=dtype) for row in tiny_rows(pair))
    return image, text


def transformers_config(pair: Pair) -> Any:
    """Return transformers' config of the same sizes."""
    image, text = pair.image, pair.text

    def common(config: Any) -> dict[str, Any]:
        return {
            "hidden_size": config.width,
            "num_hidden_layers": config.depth,
            "num_attention_heads": config.heads,
            "intermediate_size": config.hidden,
            "hidden_act": "gelu_pytorch_tanh" if config.activation == "gelu_tanh" else "gelu",
        }

    return transformers.SiglipConfig(
        vision_config={
            **common(image),
            "image_size": image.image_size[0],
            "patch_size": image.patch,
        },
        text_config={
            **common(text),
            "vocab_size": text.vocab,
            "max_position_embeddings": text.context,
            "projection_size": text.projection,
        },
    )


def transformers_model(pair: Pair) -> Any:
    """Return transformers' model of the same sizes, live."""
    model: Any = transformers.SiglipModel(transformers_config(pair))
    make_live(model)
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
        model.logit_bias.fill_(-2.5)
    return model


class OpenClip(nn.Module):
    """What open_clip's CustomTextCLIP holds for SigLIP: timm's trunk and a text transformer.

    Args:
        pair: Both configs.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        image, text = pair.image, pair.text
        tanh = image.activation == "gelu_tanh"
        self.visual = nn.Module()
        self.visual.trunk = VisionTransformer(
            img_size=image.image_size[0],
            patch_size=image.patch,
            embed_dim=image.width,
            depth=image.depth,
            num_heads=image.heads,
            mlp_ratio=image.hidden / image.width,
            class_token=False,
            global_pool="map",
            num_classes=0,
            act_layer="gelu_tanh" if tanh else "gelu",
        )
        self.text = open_clip.transformer.TextTransformer(
            context_length=text.context,
            vocab_size=text.vocab,
            width=text.width,
            heads=text.heads,
            layers=text.depth,
            mlp_ratio=text.hidden / text.width,
            output_dim=text.projection,
            no_causal_mask=True,
            pool_type="last",
            proj_bias=True,
            norm_layer=partial(open_clip.transformer.LayerNorm, eps=1e-6),
            act_layer=partial(nn.GELU, approximate="tanh") if tanh else nn.GELU,
        )
        self.logit_scale = nn.Parameter(torch.tensor(1.5))
        self.logit_bias = nn.Parameter(torch.tensor(-2.5))
        make_live(self)
        with torch.no_grad():
            self.logit_scale.fill_(1.5)
            self.logit_bias.fill_(-2.5)


def text_ids(batch: int = 3) -> Tensor:
    """Return texts of several lengths, filled up with the end of text."""
    ids = torch.ones(batch, CONTEXT, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    for row in range(batch):
        length = 3 + 4 * row
        ids[row, :length] = torch.randint(2, VOCAB, (length,), generator=generator)
    return ids


TEXTS = [
    "a photo of a cat",
    "A Photo, of: a CAT!",
    "two  dogs\tand\na red_bicycle under the tree",
    "don't stop -- the sea (at night) is cold",
    "",
    " ",
    "\u00c9t\u00e9 na\u00efve \u03a3\u03a3",
    "the cat sat on the mat and looked at the moon " * 4,
]


def save_spiece(folder: Path) -> Path:
    """Train a SentencePiece model like T5's: padding 0, end of text 1, unknown 2."""
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(text.lower() for text in TEXTS * 20) + "\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(folder / "spiece"),
        vocab_size=90,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    corpus.unlink()
    (folder / "spiece.vocab").unlink()
    return folder / "spiece.model"
