"""Swin, with labels and by masked pixels (SimMIM).

Liu et al., arXiv 2103.14030; SimMIM: Xie et al., arXiv 2111.09886. Numbers of Swin: timm's
swin_transformer.py (version 1.0.31); of SimMIM: microsoft/SimMIM at 0e71746, configs/ and data/.
"""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, merge, move
from zoo.spec import BATCH, Dim, Family, ImagePreprocess, ModelSpec, TensorSpec, WeightsSpec
from zoo_vision.swin_config import STAGES, SwinConfig

TIMM = "https://github.com/huggingface/pytorch-image-models/blob/v1.0.31/timm/models/"
SIMMIM_SOURCE = "https://github.com/microsoft/SimMIM/tree/0e7174608f5105f3d573f67724008c89b23b7fa2"
HEAD = "classifier over labels"
BUFFER = "buffer that is made, not learned"
LARGEST = 1024  # pixels of a side


def _block(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Return the rules that timm and the authors share."""
    return (
        move(f"{theirs}.norm1.{{wb}}", f"{ours}.norm1.{{wb}}"),
        move(f"{theirs}.attn.relative_position_bias_table", f"{ours}.table"),
        drop(f"{theirs}.attn.relative_position_index", BUFFER),
        drop(f"{theirs}.attn_mask", BUFFER),
        move(f"{theirs}.attn.qkv.{{wb}}", f"{ours}.attention.qkv.{{wb}}"),
        move(f"{theirs}.attn.proj.{{wb}}", f"{ours}.attention.proj.{{wb}}"),
        move(f"{theirs}.norm2.{{wb}}", f"{ours}.norm2.{{wb}}"),
        move(f"{theirs}.mlp.fc1.{{wb}}", f"{ours}.mlp.fc1.{{wb}}"),
        move(f"{theirs}.mlp.fc2.{{wb}}", f"{ours}.mlp.fc2.{{wb}}"),
    )


def _mergings(template: str, before: int) -> list[Rule]:
    """Return the rules of the three mergings, counted so many stages before ours."""
    rules = []
    for stage in range(1, STAGES):
        theirs, ours = template.format(stage - before), f"blocks.{stage}.merging"
        rules += [
            move(f"{theirs}.norm.{{wb}}", f"{ours}.norm.{{wb}}"),
            move(f"{theirs}.reduction.weight", f"{ours}.reduction.weight"),
        ]
    return rules


def _fused(name: str, *, before: int, head: str, prefixes: tuple[str, ...] = ()) -> KeyMap:
    return KeyMap(
        name=name,
        rules=(
            move("patch_embed.proj.{wb}", "patches.{wb}"),
            move("patch_embed.norm.{wb}", "patch_norm.{wb}"),
            *_mergings("layers.{}.downsample", before),
            *_block("layers.{s}.blocks.{i}", "blocks.{s}.blocks.{i}"),
            move("norm.{wb}", "norm.{wb}"),
            drop(head, HEAD),
            drop("mask_token", "token of masked image modelling"),
            drop("decoder.0.{wb}", "decoder of masked pixels"),
        ),
        prefixes=prefixes,
    )


def _transformers() -> KeyMap:
    """Return the names in a file that transformers wrote."""
    theirs, ours = "encoder.layers.{s}.blocks.{i}", "blocks.{s}.blocks.{i}"
    attention = f"{theirs}.attention.self"
    return KeyMap(
        name="transformers",
        rules=(
            move("embeddings.patch_embeddings.projection.{wb}", "patches.{wb}"),
            move("embeddings.norm.{wb}", "patch_norm.{wb}"),
            drop("embeddings.mask_token", "token of masked image modelling"),
            *_mergings("encoder.layers.{}.downsample", 1),
            move(f"{theirs}.layernorm_before.{{wb}}", f"{ours}.norm1.{{wb}}"),
            move(f"{attention}.relative_position_bias_table", f"{ours}.table"),
            drop(f"{attention}.relative_position_index", BUFFER),
            merge(
                [f"{attention}.{part}.{{wb}}" for part in ("query", "key", "value")],
                f"{ours}.attention.qkv.{{wb}}",
            ),
            move(f"{theirs}.attention.output.dense.{{wb}}", f"{ours}.attention.proj.{{wb}}"),
            move(f"{theirs}.layernorm_after.{{wb}}", f"{ours}.norm2.{{wb}}"),
            move(f"{theirs}.intermediate.dense.{{wb}}", f"{ours}.mlp.fc1.{{wb}}"),
            move(f"{theirs}.output.dense.{{wb}}", f"{ours}.mlp.fc2.{{wb}}"),
            move("layernorm.{wb}", "norm.{wb}"),
            drop("classifier.{wb}", HEAD),
            drop("decoder.0.{wb}", "decoder of masked pixels"),
        ),
        prefixes=("swin.",),
    )


KEYMAPS = (
    # The same names for another thing: the authors count a merging to the stage before it.
    _fused("timm", before=0, head="head.fc.{wb}"),
    _fused("authors", before=1, head="head.{wb}", prefixes=("encoder.",)),
    _transformers(),
)

SWIN = Family(
    name="swin",
    title="Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
    authors="Liu, Ze and others",
    arxiv="2103.14030",
    year=2021,
    objective="supervised ImageNet-1k",
    license="mit",
    modality="image",
    keymaps=KEYMAPS,
)
SIMMIM = Family(
    name="simmim",
    title="SimMIM: A Simple Framework for Masked Image Modeling",
    authors="Xie, Zhenda and others",
    arxiv="2111.09886",
    year=2021,
    objective="masked pixel regression, ImageNet-1k",
    license="apache-2.0",
    modality="image",
    keymaps=KEYMAPS,
)

PREPROCESS = ImagePreprocess(size=(224, 224), resize=248)
SIMMIM_PREPROCESS = ImagePreprocess(size=(192, 192), resize=219)  # 256 / 224 * 192


def pixels(typical: int, least: int = 128, patch: int = 4) -> tuple[TensorSpec, ...]:
    """Return the input of a network that takes any size that is a multiple of its patch.

    Args:
        typical: Size that it was trained on, pixels.
        least: From here on the third stage is larger than a window, as the shift expects.
        patch: Side of a patch, pixels.
    """
    height, width = (
        Dim(name=name, min=least, typical=typical, max=LARGEST // patch * patch, multiple=patch)
        for name in ("height", "width")
    )
    return (TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, height, width)),)


TINY = SwinConfig(width=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=7)
SMALL = SwinConfig(width=96, depths=(2, 2, 18, 2), heads=(3, 6, 12, 24), window=7)
BASE = SwinConfig(width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), window=7)
LARGE = SwinConfig(width=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=7)


def _swin(name: str, repo: str, config: SwinConfig, params: int, *, objective: str) -> ModelSpec:
    return SWIN.model(
        name,
        config=config,
        weights=WeightsSpec(source=repo, layout="timm"),
        preprocess=PREPROCESS,
        inputs=pixels(224),
        outputs=("pooled", "tokens", "pyramid"),
        params=params,
        objective=objective,
        source=f"{TIMM}swin_transformer.py",
    )


IN1K, IN22K = "supervised ImageNet-1k", "supervised ImageNet-22k"

ROWS = (
    _swin(
        "swin-t",
        "hf:timm/swin_tiny_patch4_window7_224.ms_in1k",
        TINY,
        27_519_354,
        objective=IN1K,
    ),
    _swin(
        "swin-s",
        "hf:timm/swin_small_patch4_window7_224.ms_in1k",
        SMALL,
        48_837_258,
        objective=IN1K,
    ),
    _swin(
        "swin-b",
        "hf:timm/swin_base_patch4_window7_224.ms_in22k",
        BASE,
        86_743_224,
        objective=IN22K,
    ),
    _swin(
        "swin-l",
        "hf:timm/swin_large_patch4_window7_224.ms_in22k",
        LARGE,
        194_995_476,
        objective=IN22K,
    ),
    SIMMIM.model(
        "simmim-swin-b",
        config=SwinConfig(
            width=128,
            depths=(2, 2, 18, 2),
            heads=(4, 8, 16, 32),
            window=6,
            image_size=(192, 192),
        ),
        weights=WeightsSpec(
            source="hf:microsoft/swin-base-simmim-window6-192", layout="transformers"
        ),
        preprocess=SIMMIM_PREPROCESS,
        inputs=pixels(192),
        outputs=("pooled", "tokens", "pyramid"),
        params=86_725_176,
        source=SIMMIM_SOURCE,
    ),
    SIMMIM.model(
        "simmim-swin-l",
        config=SwinConfig(
            width=192,
            depths=(2, 2, 18, 2),
            heads=(6, 12, 24, 48),
            window=12,
            image_size=(192, 192),
        ),
        weights=WeightsSpec(
            source="hf:microsoft/swin-large-simmim-window12-192", layout="transformers"
        ),
        preprocess=SIMMIM_PREPROCESS,
        inputs=pixels(192, least=192),
        outputs=("pooled", "tokens", "pyramid"),
        params=195_159_348,
        note="The last stage is one window of 6 x 6, as in the authors' code; transformers itself "
        "cannot run windows of 12 there. The file has not been seen.",
        source=SIMMIM_SOURCE,
    ),
)
