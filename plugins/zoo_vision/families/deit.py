"""DeiT: ViTs trained on ImageNet-1k alone, one of them with a distillation token.

Touvron et al., arXiv 2012.12877. Positions at other sizes: facebookresearch/deit, main.py, plain
bicubic to the new size.
"""

from __future__ import annotations

from functools import partial

from zoo.keys import drop
from zoo.spec import Family, ImagePreprocess
from zoo_vision.families.rows import timm_row
from zoo_vision.families.vit_layouts import (
    CLASSIFIER,
    fused_layout,
    split_layout,
)
from zoo_vision.vit_config import ViTConfig

DEIT = Family(
    name="deit",
    title="Training data-efficient image transformers & distillation through attention",
    authors="Touvron, Hugo and others",
    arxiv="2012.12877",
    year=2020,
    objective="supervised ImageNet-1k",
    license="apache-2.0",
    modality="image",
    keymaps=(
        fused_layout(drop("head_dist.{wb}", CLASSIFIER)),
        split_layout(
            drop("cls_classifier.{wb}", CLASSIFIER),
            drop("distillation_classifier.{wb}", CLASSIFIER),
            drop("embeddings.mask_token", "token of masked image modelling"),
            prefixes=("deit.", "vit."),
        ),
    ),
)

PREPROCESS = ImagePreprocess(size=(224, 224), resize=248)


_row = partial(timm_row, DEIT, preprocess=PREPROCESS)

ROWS = (
    _row(
        "deit-t16",
        "hf:timm/deit_tiny_patch16_224.fb_in1k",
        ViTConfig(width=192, depth=12, heads=3, hidden=768),
        5_524_416,
    ),
    _row(
        "deit-s16",
        "hf:timm/deit_small_patch16_224.fb_in1k",
        ViTConfig(width=384, depth=12, heads=6, hidden=1536),
        21_665_664,
    ),
    _row(
        "deit-b16",
        "hf:timm/deit_base_patch16_224.fb_in1k",
        ViTConfig(width=768, depth=12, heads=12, hidden=3072),
        85_798_656,
        aliases=("deit",),
    ),
    _row(
        "deit-b16-dist",
        "hf:timm/deit_base_distilled_patch16_224.fb_in1k",
        ViTConfig(
            width=768,
            depth=12,
            heads=12,
            hidden=3072,
            distillation_token=True,
            pooling="cls_dist",
        ),
        85_800_192,
        objective="supervised ImageNet-1k and hard distillation from a RegNetY",
        note="The vector is the mean of the class and the distillation token.",
    ),
)
