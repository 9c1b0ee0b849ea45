"""ViT: transformers over patches, trained with labels.

Dosovitskiy et al., arXiv 2010.11929; the AugReg weights: Steiner et al., "How to train your ViT?",
arXiv 2106.10270. Positions at other sizes: google-research/vision_transformer,
vit_jax/checkpoint.py, zooms linearly with the corners in place.
"""

from __future__ import annotations

from functools import partial

from zoo.keys import drop
from zoo.spec import Family, ImagePreprocess, Paper
from zoo_vision.families.rows import timm_row
from zoo_vision.families.vit_layouts import fused_layout, split_layout
from zoo_vision.processing import HALVES
from zoo_vision.vit_config import ViTConfig

VIT = Family(
    name="vit",
    title="An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
    authors="Dosovitskiy, Alexey and others",
    arxiv="2010.11929",
    year=2020,
    objective="supervised",
    license="apache-2.0",
    modality="image",
    keymaps=(
        fused_layout(drop("pre_logits.*", "tanh layer of the 2020 classifier")),
        split_layout(
            drop("embeddings.mask_token", "token of masked image modelling"), prefixes=("vit.",)
        ),
    ),
)

PREPROCESS = ImagePreprocess(size=(224, 224), resize=248, mean=HALVES, std=HALVES)


def _config(width: int, depth: int, heads: int, patch: int = 16) -> ViTConfig:
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=4 * width,
        patch=patch,
        position_mode="linear_corners",
    )


_row = partial(timm_row, VIT, preprocess=PREPROCESS)

AUGREG = Paper(
    title="How to train your ViT? Data, Augmentation, and Regularization in Vision Transformers",
    authors="Steiner, Andreas and others",
    arxiv="2106.10270",
    year=2021,
)
IN21K = "supervised ImageNet-21k (AugReg)"
FINE_TUNED = "supervised ImageNet-21k, then ImageNet-1k (AugReg)"

ROWS = (
    _row(
        "vit-t16",
        "hf:timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        _config(192, 12, 3),
        5_524_416,
        objective=FINE_TUNED,
        papers=(AUGREG,),
    ),
    _row(
        "vit-s16",
        "hf:timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
        _config(384, 12, 6),
        21_665_664,
        objective=FINE_TUNED,
        papers=(AUGREG,),
    ),
    _row(
        "vit-b16",
        "hf:timm/vit_base_patch16_224.augreg_in21k",
        _config(768, 12, 12),
        85_798_656,
        objective=IN21K,
        papers=(AUGREG,),
        aliases=("vit",),
    ),
    _row(
        "vit-b16-in1k",
        "hf:timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
        _config(768, 12, 12),
        85_798_656,
        objective=FINE_TUNED,
        papers=(AUGREG,),
        note="The best of timm's B/16 weights that were fine-tuned on ImageNet-1k.",
    ),
    _row(
        "vit-l16",
        "hf:timm/vit_large_patch16_224.augreg_in21k",
        _config(1024, 24, 16),
        303_301_632,
        objective=IN21K,
        papers=(AUGREG,),
    ),
    _row(
        "vit-h14",
        "hf:timm/vit_huge_patch14_224.orig_in21k",
        _config(1280, 32, 16, patch=14),
        630_764_800,
        objective="supervised ImageNet-21k",
        note="The weights of the 2020 paper; 2.5 GB in float32.",
    ),
)
