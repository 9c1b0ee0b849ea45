"""DINOv2: self-distillation at scale, with and without register tokens.

Oquab et al., arXiv 2304.07193; registers: Darcet et al., arXiv 2309.16588.
Positions at other sizes: facebookresearch/dinov2, dinov2/hub/backbones.py: without registers
bicubic by a scale factor of (size + 0.1) / grid, with registers antialiased bicubic to the new
size.
"""

from __future__ import annotations

from functools import partial

from zoo.keys import drop
from zoo.spec import Family, ImagePreprocess, Paper
from zoo_vision.families.rows import timm_row
from zoo_vision.families.vit_layouts import fused_layout, split_layout
from zoo_vision.vit_config import ViTConfig

MASK = "token of masked image modelling, unused when encoding"

DINOV2 = Family(
    name="dinov2",
    title="DINOv2: Learning Robust Visual Features without Supervision",
    authors="Oquab, Maxime and others",
    arxiv="2304.07193",
    year=2023,
    objective="self-distillation (DINO, iBOT, KoLeo) on LVD-142M",
    license="apache-2.0",
    modality="image",
    keymaps=(
        fused_layout(drop("mask_token", MASK)),
        split_layout(
            drop("embeddings.mask_token", MASK), prefixes=("dinov2.", "dinov2_with_registers.")
        ),
    ),
)

# Meta's evaluation and its transformers copies; the checkpoints' own grid is 518 x 518.
PREPROCESS = ImagePreprocess(size=(224, 224), resize=256)


def _config(width: int, depth: int, heads: int, hidden: int, *, swiglu: bool = False) -> ViTConfig:
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=hidden,
        swiglu=swiglu,
        image_size=(518, 518),
        patch=14,
        layer_scale=True,
        position_offset=0.1,
    )


def _with_registers(
    width: int, depth: int, heads: int, hidden: int, *, swiglu: bool = False
) -> ViTConfig:
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=hidden,
        swiglu=swiglu,
        image_size=(518, 518),
        patch=14,
        layer_scale=True,
        registers=4,
        # timm adds the class token's position into the token itself and drops the row
        class_position=False,
        position_antialias=True,
    )


REGISTERS = Paper(
    title="Vision Transformers Need Registers",
    authors="Darcet, Timoth{\\'e}e and Oquab, Maxime and Mairal, Julien and Bojanowski, Piotr",
    arxiv="2309.16588",
    year=2023,
)

_row = partial(
    timm_row,
    DINOV2,
    preprocess=PREPROCESS,
    note="Preprocesses to 224 x 224; trained last at 518 x 518, and takes any multiple of 14.",
)

ROWS = (
    _row(
        "dinov2-s14",
        "hf:timm/vit_small_patch14_dinov2.lvd142m",
        _config(384, 12, 6, 1536),
        22_056_192,
    ),
    _row(
        "dinov2-s14-reg",
        "hf:timm/vit_small_patch14_reg4_dinov2.lvd142m",
        _with_registers(384, 12, 6, 1536),
        22_057_344,
        papers=(REGISTERS,),
    ),
    _row(
        "dinov2-b14",
        "hf:timm/vit_base_patch14_dinov2.lvd142m",
        _config(768, 12, 12, 3072),
        86_579_712,
        aliases=("dinov2",),
    ),
    _row(
        "dinov2-b14-reg",
        "hf:timm/vit_base_patch14_reg4_dinov2.lvd142m",
        _with_registers(768, 12, 12, 3072),
        86_582_016,
        papers=(REGISTERS,),
    ),
    _row(
        "dinov2-l14",
        "hf:timm/vit_large_patch14_dinov2.lvd142m",
        _config(1024, 24, 16, 4096),
        304_367_616,
    ),
    _row(
        "dinov2-l14-reg",
        "hf:timm/vit_large_patch14_reg4_dinov2.lvd142m",
        _with_registers(1024, 24, 16, 4096),
        304_370_688,
        papers=(REGISTERS,),
    ),
    _row(
        "dinov2-g14",
        "hf:timm/vit_giant_patch14_dinov2.lvd142m",
        _config(1536, 40, 24, 4096, swiglu=True),
        1_136_479_232,
    ),
    _row(
        "dinov2-g14-reg",
        "hf:timm/vit_giant_patch14_reg4_dinov2.lvd142m",
        _with_registers(1536, 40, 24, 4096, swiglu=True),
        1_136_483_840,
        papers=(REGISTERS,),
    ),
)
