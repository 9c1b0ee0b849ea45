"""What all vision transformers share: the two ways their checkpoints are written, and their input.

Fused layout: timm 1.0.31, timm/models/vision_transformer.py, which the authors of DeiT, DINO,
DINOv2, MAE, MoCo v3 and I-JEPA follow. Split layout: what `save_pretrained` of transformers 5.23
writes, which is the names of transformers 4.
"""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, merge, move
from zoo.spec import BATCH, Dim, TensorSpec

TIMM_SOURCE = (
    "https://github.com/huggingface/pytorch-image-models/blob/v1.0.31/"
    "timm/models/vision_transformer.py"
)
CLASSIFIER = "classifier over labels"
LARGEST = 1024  # pixels of a side


def fused_layout(*extra: Rule, prefixes: tuple[str, ...] = ()) -> KeyMap:
    """Return timm's names, and those of the authors' own files where they differ.

    Args:
        extra: Rules of one system, mostly for what it trains beside the encoder.
        prefixes: What its files put before the encoder's keys.
    """
    block = "blocks.{i}"
    return KeyMap(
        name="timm",
        rules=(
            move("cls_token", "class_token"),
            move("dist_token", "distillation_token"),
            move("reg_token", "registers"),
            move("register_tokens", "registers"),
            move("pos_embed", "positions"),
            move("patch_embed.proj.{wb}", "patches.{wb}"),
            move("norm_pre.{wb}", "pre_norm.{wb}"),
            move(f"{block}.norm1.{{wb}}", f"{block}.norm1.{{wb}}"),
            move(f"{block}.attn.qkv.{{wb}}", f"{block}.attention.qkv.{{wb}}"),
            move(f"{block}.attn.proj.{{wb}}", f"{block}.attention.proj.{{wb}}"),
            move(f"{block}.ls1.gamma", f"{block}.scale1.scale"),
            move(f"{block}.norm2.{{wb}}", f"{block}.norm2.{{wb}}"),
            move(f"{block}.mlp.fc1.{{wb}}", f"{block}.mlp.fc1.{{wb}}"),
            move(f"{block}.mlp.fc2.{{wb}}", f"{block}.mlp.fc2.{{wb}}"),
            move(f"{block}.mlp.w12.{{wb}}", f"{block}.mlp.fc1.{{wb}}"),
            move(f"{block}.mlp.w3.{{wb}}", f"{block}.mlp.fc2.{{wb}}"),
            move(f"{block}.ls2.gamma", f"{block}.scale2.scale"),
            move("norm.{wb}", "norm.{wb}"),
            move("fc_norm.{wb}", "pool_norm.{wb}"),
            drop("head.{wb}", CLASSIFIER),
            *extra,
        ),
        prefixes=prefixes,
    )


def split_layout(*extra: Rule, prefixes: tuple[str, ...] = ()) -> KeyMap:
    """Return the names in files of transformers: query, key and value apart.

    Args:
        extra: Rules of one system.
        prefixes: What its files put before the encoder's keys.
    """
    theirs, ours = "encoder.layer.{i}", "blocks.{i}"
    attention = f"{theirs}.attention"
    return KeyMap(
        name="transformers",
        rules=(
            move("embeddings.cls_token", "class_token"),
            move("embeddings.distillation_token", "distillation_token"),
            move("embeddings.register_tokens", "registers"),
            move("embeddings.position_embeddings", "positions"),
            move("embeddings.patch_embeddings.projection.{wb}", "patches.{wb}"),
            merge(
                [f"{attention}.attention.{part}.{{wb}}" for part in ("query", "key", "value")],
                f"{ours}.attention.qkv.{{wb}}",
            ),
            move(f"{attention}.output.dense.{{wb}}", f"{ours}.attention.proj.{{wb}}"),
            # ViT, DeiT, MAE and I-JEPA
            move(f"{theirs}.layernorm_before.{{wb}}", f"{ours}.norm1.{{wb}}"),
            move(f"{theirs}.layernorm_after.{{wb}}", f"{ours}.norm2.{{wb}}"),
            move(f"{theirs}.intermediate.dense.{{wb}}", f"{ours}.mlp.fc1.{{wb}}"),
            move(f"{theirs}.output.dense.{{wb}}", f"{ours}.mlp.fc2.{{wb}}"),
            # DINOv2
            move(f"{theirs}.norm1.{{wb}}", f"{ours}.norm1.{{wb}}"),
            move(f"{theirs}.norm2.{{wb}}", f"{ours}.norm2.{{wb}}"),
            move(f"{theirs}.layer_scale1.lambda1", f"{ours}.scale1.scale"),
            move(f"{theirs}.layer_scale2.lambda1", f"{ours}.scale2.scale"),
            move(f"{theirs}.mlp.fc1.{{wb}}", f"{ours}.mlp.fc1.{{wb}}"),
            move(f"{theirs}.mlp.fc2.{{wb}}", f"{ours}.mlp.fc2.{{wb}}"),
            move(f"{theirs}.mlp.weights_in.{{wb}}", f"{ours}.mlp.fc1.{{wb}}"),
            move(f"{theirs}.mlp.weights_out.{{wb}}", f"{ours}.mlp.fc2.{{wb}}"),
            move("layernorm.{wb}", "norm.{wb}"),
            drop("pooler.dense.{wb}", "tanh pooler of the classifier, not of the encoder"),
            drop("classifier.{wb}", CLASSIFIER),
            *extra,
        ),
        prefixes=prefixes,
    )


def pixels(patch: int, typical: int = 224) -> tuple[TensorSpec, ...]:
    """Return the input of a network that takes any size that is a multiple of its patch."""
    largest = LARGEST // patch * patch
    height, width = (
        Dim(name=name, min=patch, typical=typical, max=largest, multiple=patch)
        for name in ("height", "width")
    )
    return (TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, height, width)),)
