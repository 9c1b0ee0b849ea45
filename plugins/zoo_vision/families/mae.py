"""MAE: masked autoencoders; the encoder without its decoder, and nothing masked.

He et al., arXiv 2111.06377. Positions at other sizes: facebookresearch/mae, util/pos_embed.py,
plain bicubic to the new size.
"""

from __future__ import annotations

from functools import partial

from zoo.keys import drop
from zoo.spec import Family, ImagePreprocess
from zoo_vision.families.rows import timm_row
from zoo_vision.families.vit_layouts import fused_layout, split_layout
from zoo_vision.vit_config import ViTConfig

DECODER = "decoder of the pretraining"

MAE = Family(
    name="mae",
    title="Masked Autoencoders Are Scalable Vision Learners",
    authors="He, Kaiming and others",
    arxiv="2111.06377",
    year=2021,
    objective="masked pixel regression (75 % masked), ImageNet-1k",
    license="cc-by-nc-4.0",
    modality="image",
    keymaps=(
        fused_layout(drop("mask_token", DECODER), drop("decoder_*", DECODER)),
        split_layout(drop("decoder.*", DECODER), prefixes=("vit.",)),
    ),
)

PREPROCESS = ImagePreprocess(size=(224, 224), resize=248)


def _config(width: int, depth: int, heads: int, patch: int = 16) -> ViTConfig:
    return ViTConfig(
        width=width, depth=depth, heads=heads, hidden=4 * width, patch=patch, pooling="mean"
    )


_row = partial(
    timm_row,
    MAE,
    preprocess=PREPROCESS,
    note="The class token was not trained to sum the image up: the vector is the mean of the "
    "patches. Frozen MAE features are weak before fine-tuning.",
)

ROWS = (
    _row(
        "mae-b16",
        "hf:timm/vit_base_patch16_224.mae",
        _config(768, 12, 12),
        85_798_656,
        aliases=("mae",),
    ),
    _row("mae-l16", "hf:timm/vit_large_patch16_224.mae", _config(1024, 24, 16), 303_301_632),
    _row(
        "mae-h14",
        "hf:timm/vit_huge_patch14_224.mae",
        _config(1280, 32, 16, patch=14),
        630_764_800,
    ),
)
