"""DINO: self-distillation without labels.

Caron et al., arXiv 2104.14294. Positions at other sizes: facebookresearch/dino,
vision_transformer.py, `interpolate_pos_encoding`: bicubic by a scale factor of (size + 0.1) / grid.
"""

from __future__ import annotations

from functools import partial

from zoo.keys import drop
from zoo.spec import Family, ImagePreprocess
from zoo_vision.families.rows import timm_row
from zoo_vision.families.vit_layouts import fused_layout, split_layout
from zoo_vision.vit_config import ViTConfig

PROJECTOR = "projection head of the training"

DINO = Family(
    name="dino",
    title="Emerging Properties in Self-Supervised Vision Transformers",
    authors="Caron, Mathilde and others",
    arxiv="2104.14294",
    year=2021,
    objective="self-distillation without labels (EMA teacher, multi-crop), ImageNet-1k",
    license="apache-2.0",
    modality="image",
    keymaps=(
        fused_layout(
            drop("head.*", PROJECTOR),
            drop(
                "module.head.*", PROJECTOR
            ),  # where the backbone's keys begin with module.backbone.
            prefixes=("backbone.",),
        ),
        split_layout(prefixes=("vit.",)),
    ),
)

PREPROCESS = ImagePreprocess(size=(224, 224), resize=248)


_row = partial(
    timm_row,
    DINO,
    preprocess=PREPROCESS,
    note="Pixels as timm's repository says (248, crop 224); the paper evaluates at 256.",
)


def _config(width: int, heads: int, patch: int) -> ViTConfig:
    return ViTConfig(
        width=width, depth=12, heads=heads, hidden=4 * width, patch=patch, position_offset=0.1
    )


ROWS = (
    _row("dino-s16", "hf:timm/vit_small_patch16_224.dino", _config(384, 6, 16), 21_665_664),
    _row("dino-s8", "hf:timm/vit_small_patch8_224.dino", _config(384, 6, 8), 21_670_272),
    _row(
        "dino-b16",
        "hf:timm/vit_base_patch16_224.dino",
        _config(768, 12, 16),
        85_798_656,
        aliases=("dino",),
    ),
    _row("dino-b8", "hf:timm/vit_base_patch8_224.dino", _config(768, 12, 8), 85_807_872),
)
