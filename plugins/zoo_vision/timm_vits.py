"""timm's names of the architectures that are this package's ViT, for repositories without a row.

Source: timm 1.0.31, timm/models/vision_transformer.py, deit.py, beit.py and eva.py. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from zoo.spec import Family
from zoo_vision.families import dinov3
from zoo_vision.families.beit import BEIT, BEITV2, fine_tuned
from zoo_vision.families.deit import DEIT
from zoo_vision.families.dinov2 import DINOV2
from zoo_vision.families.dinov3 import DINOV3
from zoo_vision.families.ijepa import IJEPA
from zoo_vision.families.vit import VIT
from zoo_vision.vit_config import ViTConfig

TINY = ViTConfig(width=192, depth=12, heads=3, hidden=768)
SMALL = ViTConfig(width=384, depth=12, heads=6, hidden=1536)
BASE = ViTConfig(width=768, depth=12, heads=12, hidden=3072)
LARGE = ViTConfig(width=1024, depth=24, heads=16, hidden=4096)
HUGE = ViTConfig(width=1280, depth=32, heads=16, hidden=5120)
GIANT = ViTConfig(width=1408, depth=40, heads=16, hidden=6144)
GIANT2 = ViTConfig(width=1536, depth=40, heads=24, hidden=4096, swiglu=True)


def _at(config: ViTConfig, patch: int, size: int) -> ViTConfig:
    return replace(config, patch=patch, image_size=(size, size))


def _distilled(config: ViTConfig) -> ViTConfig:
    return replace(config, distillation_token=True, pooling="cls_dist")


def _scaled(config: ViTConfig) -> ViTConfig:
    return replace(_at(config, 14, 518), layer_scale=True)


def _registers(config: ViTConfig) -> ViTConfig:
    return replace(_scaled(config), registers=4, class_position=False)


def _biased(config: ViTConfig) -> ViTConfig:
    return replace(config, qkv_bias=True)


def _patches_alone(config: ViTConfig) -> ViTConfig:
    return replace(config, class_token=False, pooling="mean")


BEIT_BASE, BEIT_LARGE = fine_tuned(768, 12, 12), fine_tuned(1024, 24, 16)

TIMM_VITS: Mapping[str, tuple[Family, ViTConfig]] = {
    "vit_tiny_patch16_224": (VIT, _at(TINY, 16, 224)),
    "vit_tiny_patch16_384": (VIT, _at(TINY, 16, 384)),
    "vit_small_patch32_224": (VIT, _at(SMALL, 32, 224)),
    "vit_small_patch32_384": (VIT, _at(SMALL, 32, 384)),
    "vit_small_patch16_224": (VIT, _at(SMALL, 16, 224)),
    "vit_small_patch16_384": (VIT, _at(SMALL, 16, 384)),
    "vit_small_patch8_224": (VIT, _at(SMALL, 8, 224)),
    "vit_base_patch32_224": (VIT, _at(BASE, 32, 224)),
    "vit_base_patch32_384": (VIT, _at(BASE, 32, 384)),
    "vit_base_patch16_224": (VIT, _at(BASE, 16, 224)),
    "vit_base_patch16_384": (VIT, _at(BASE, 16, 384)),
    "vit_base_patch8_224": (VIT, _at(BASE, 8, 224)),
    "vit_large_patch32_224": (VIT, _at(LARGE, 32, 224)),
    "vit_large_patch32_384": (VIT, _at(LARGE, 32, 384)),
    "vit_large_patch16_224": (VIT, _at(LARGE, 16, 224)),
    "vit_large_patch16_384": (VIT, _at(LARGE, 16, 384)),
    "vit_large_patch14_224": (VIT, _at(LARGE, 14, 224)),
    "vit_huge_patch14_224": (VIT, _at(HUGE, 14, 224)),
    "deit_tiny_patch16_224": (DEIT, _at(TINY, 16, 224)),
    "deit_small_patch16_224": (DEIT, _at(SMALL, 16, 224)),
    "deit_base_patch16_224": (DEIT, _at(BASE, 16, 224)),
    "deit_base_patch16_384": (DEIT, _at(BASE, 16, 384)),
    "deit_tiny_distilled_patch16_224": (DEIT, _distilled(_at(TINY, 16, 224))),
    "deit_small_distilled_patch16_224": (DEIT, _distilled(_at(SMALL, 16, 224))),
    "deit_base_distilled_patch16_224": (DEIT, _distilled(_at(BASE, 16, 224))),
    "deit_base_distilled_patch16_384": (DEIT, _distilled(_at(BASE, 16, 384))),
    "vit_small_patch14_dinov2": (DINOV2, _scaled(SMALL)),
    "vit_base_patch14_dinov2": (DINOV2, _scaled(BASE)),
    "vit_large_patch14_dinov2": (DINOV2, _scaled(LARGE)),
    "vit_giant_patch14_dinov2": (DINOV2, _scaled(GIANT2)),
    "vit_small_patch14_reg4_dinov2": (DINOV2, _registers(SMALL)),
    "vit_base_patch14_reg4_dinov2": (DINOV2, _registers(BASE)),
    "vit_large_patch14_reg4_dinov2": (DINOV2, _registers(LARGE)),
    "vit_giant_patch14_reg4_dinov2": (DINOV2, _registers(GIANT2)),
    "vit_huge_patch14_gap_224": (IJEPA, _patches_alone(_at(HUGE, 14, 224))),
    "vit_huge_patch16_gap_448": (IJEPA, _patches_alone(_at(HUGE, 16, 448))),
    "vit_giant_patch16_gap_224": (IJEPA, _patches_alone(_at(GIANT, 16, 224))),
    "beit_base_patch16_224": (BEIT, BEIT_BASE),
    "beit_base_patch16_384": (BEIT, _at(BEIT_BASE, 16, 384)),
    "beit_large_patch16_224": (BEIT, BEIT_LARGE),
    "beit_large_patch16_384": (BEIT, _at(BEIT_LARGE, 16, 384)),
    "beit_large_patch16_512": (BEIT, _at(BEIT_LARGE, 16, 512)),
    "beitv2_base_patch16_224": (BEITV2, BEIT_BASE),
    "beitv2_large_patch16_224": (BEITV2, BEIT_LARGE),
    "vit_small_patch16_dinov3": (DINOV3, dinov3.SMALL),
    "vit_small_plus_patch16_dinov3": (DINOV3, dinov3.SMALL_PLUS),
    "vit_base_patch16_dinov3": (DINOV3, dinov3.BASE),
    "vit_large_patch16_dinov3": (DINOV3, dinov3.LARGE),
    "vit_huge_plus_patch16_dinov3": (DINOV3, dinov3.HUGE_PLUS),
    "vit_small_patch16_dinov3_qkvb": (DINOV3, _biased(dinov3.SMALL)),
    "vit_small_plus_patch16_dinov3_qkvb": (DINOV3, _biased(dinov3.SMALL_PLUS)),
    "vit_base_patch16_dinov3_qkvb": (DINOV3, _biased(dinov3.BASE)),
    "vit_large_patch16_dinov3_qkvb": (DINOV3, _biased(dinov3.LARGE)),
    "vit_huge_plus_patch16_dinov3_qkvb": (DINOV3, _biased(dinov3.HUGE_PLUS)),
}
