"""DINOv3: self-distillation with rotary positions and registers.

Simeoni et al., arXiv 2508.10104. Numbers: timm's eva.py (version 1.0.31).
"""

from __future__ import annotations

from zoo.keys import KeyMap, drop, drop_zeros, merge, move
from zoo.spec import Family, ImagePreprocess, ModelSpec, WeightsSpec
from zoo_vision.families.vit_layouts import fused_layout, pixels
from zoo_vision.vit_config import ViTConfig

SOURCE = "https://github.com/huggingface/pytorch-image-models/blob/v1.0.31/timm/models/eva.py"
MASK = "token of masked image modelling, unused when encoding"
NOTE = (
    "The vector is the class token, as in the authors' evaluation; timm averages patches. "
    "Takes any multiple of 16 pixels."
)


def _transformers() -> KeyMap:
    """Return the names in files of transformers, which holds the biases of queries and values."""
    theirs, ours = "layer.{i}", "blocks.{i}"
    attention = f"{theirs}.attention"
    return KeyMap(
        name="transformers",
        rules=(
            move("embeddings.cls_token", "class_token"),
            move("embeddings.register_tokens", "registers"),
            drop("embeddings.mask_token", MASK),
            move("embeddings.patch_embeddings.{wb}", "patches.{wb}"),
            move(f"{theirs}.norm1.{{wb}}", f"{ours}.norm1.{{wb}}"),
            merge(
                [f"{attention}.{part}_proj.weight" for part in "qkv"],
                f"{ours}.attention.qkv.weight",
            ),
            move(f"{attention}.q_proj.bias", f"{ours}.attention.q_bias"),
            move(f"{attention}.v_proj.bias", f"{ours}.attention.v_bias"),
            move(f"{attention}.o_proj.{{wb}}", f"{ours}.attention.proj.{{wb}}"),
            move(f"{theirs}.layer_scale1.lambda1", f"{ours}.scale1.scale"),
            move(f"{theirs}.norm2.{{wb}}", f"{ours}.norm2.{{wb}}"),
            merge(
                [f"{theirs}.mlp.gate_proj.{{wb}}", f"{theirs}.mlp.up_proj.{{wb}}"],
                f"{ours}.mlp.fc1.{{wb}}",
            ),
            move(f"{theirs}.mlp.down_proj.{{wb}}", f"{ours}.mlp.fc2.{{wb}}"),
            move(f"{theirs}.layer_scale2.lambda1", f"{ours}.scale2.scale"),
            move("norm.{wb}", "norm.{wb}"),
        ),
    )


def _plain() -> KeyMap:
    """Return the same names for an MLP without a gate, whose first layer is `up_proj` alone."""
    keymap = _transformers()
    first = move("layer.{i}.mlp.up_proj.{wb}", "blocks.{i}.mlp.fc1.{wb}")
    return KeyMap(
        name=keymap.name,
        rules=tuple(
            first if rule.targets == ("blocks.{i}.mlp.fc1.{wb}",) else rule for rule in keymap.rules
        ),
    )


def _authors() -> KeyMap:
    """Return the names in Meta's own files (dinov3_vits16_pretrain_lvd1689m-08c60483.pth)."""
    biases = "blocks.{i}.attn.qkv.bias"
    return KeyMap(
        name="authors",
        rules=(
            move("storage_tokens", "registers"),
            drop("mask_token", MASK),
            drop("rope_embed.periods", "computed from the base; in the file they are rounded"),
            drop_zeros(
                biases,
                "biases that are zero, as in the published files; a folder that transformers, or "
                "timm under a name in _qkvb, saved of this network loads with them",
            ),
            drop(f"{biases}_mask", "takes away the biases of keys"),
            merge(
                ["blocks.{i}.mlp.w1.{wb}", "blocks.{i}.mlp.w2.{wb}"],
                "blocks.{i}.mlp.fc1.{wb}",
            ),
            *fused_layout().rules,
        ),
    )


DINOV3 = Family(
    name="dinov3",
    title="DINOv3",
    authors="Sim{\\'e}oni, Oriane and others",
    arxiv="2508.10104",
    year=2025,
    objective="self-distillation (DINO, iBOT, KoLeo, Gram anchoring) on LVD-1689M",
    license="dinov3-license",
    license_url="https://ai.meta.com/resources/models-and-libraries/dinov3-license/",
    modality="image",
    keymaps=(
        fused_layout(
            drop("mask_token", MASK),
            move("blocks.{i}.attn.q_bias", "blocks.{i}.attention.q_bias"),
            move("blocks.{i}.attn.v_bias", "blocks.{i}.attention.v_bias"),
            move("blocks.{i}.gamma_1", "blocks.{i}.scale1.scale"),
            move("blocks.{i}.gamma_2", "blocks.{i}.scale2.scale"),
            merge(
                ["blocks.{i}.mlp.fc1_g.{wb}", "blocks.{i}.mlp.fc1_x.{wb}"],
                "blocks.{i}.mlp.fc1.{wb}",
            ),
        ),
        _transformers(),
        _plain(),
        _authors(),
    ),
)

PREPROCESS = ImagePreprocess(size=(256, 256), resize=256)


def _config(width: int, depth: int, heads: int, *, gated: bool = False) -> ViTConfig:
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=4 * width,
        swiglu=gated,
        image_size=(256, 256),
        patch=16,
        norm_eps=1e-5,
        # the authors' biases of queries and values are zero, those of keys are none; timm's files
        # leave them out
        qkv_bias=False,
        key_bias=False,
        layer_scale=True,
        registers=4,
        positions="rotary",
    )


SMALL, SMALL_PLUS = _config(384, 12, 6), _config(384, 12, 6, gated=True)
BASE, LARGE = _config(768, 12, 12), _config(1024, 24, 16)
HUGE_PLUS = _config(1280, 32, 20, gated=True)


def _row(
    name: str, repo: str, config: ViTConfig, params: int, *, aliases: tuple[str, ...] = ()
) -> ModelSpec:
    return DINOV3.model(
        name,
        config=config,
        weights=WeightsSpec(source=repo, layout="timm"),
        preprocess=PREPROCESS,
        inputs=pixels(16, typical=256),
        params=params,
        aliases=aliases,
        note=NOTE,
        source=SOURCE,
    )


ROWS = (
    _row("dinov3-s16", "hf:timm/vit_small_patch16_dinov3.lvd1689m", SMALL, 21_586_944),
    _row(
        "dinov3-s16plus",
        "hf:timm/vit_small_plus_patch16_dinov3.lvd1689m",
        SMALL_PLUS,
        28_683_264,
    ),
    _row(
        "dinov3-b16",
        "hf:timm/vit_base_patch16_dinov3.lvd1689m",
        BASE,
        85_641_216,
        aliases=("dinov3",),
    ),
    _row("dinov3-l16", "hf:timm/vit_large_patch16_dinov3.lvd1689m", LARGE, 303_079_424),
    _row(
        "dinov3-h16plus",
        "hf:timm/vit_huge_plus_patch16_dinov3.lvd1689m",
        HUGE_PLUS,
        840_509_440,
    ),
)
