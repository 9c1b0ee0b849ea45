"""Recognise transformers' BEiT, data2vec for images and DINOv3. No torch.

Defaults: configuration_beit.py, configuration_data2vec_vision.py, configuration_dinov3_vit.py
(version 5.23).
"""

from __future__ import annotations

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields
from zoo.hookspecs import RepoFiles
from zoo.spec import ModelSpec
from zoo_vision.families.beit import BEIT, DATA2VEC
from zoo_vision.families.dinov3 import DINOV3
from zoo_vision.repository import WIDEST, transformers_preprocess, width_and_heads
from zoo_vision.vit_checkpoint import vit_row, with_sizes
from zoo_vision.vit_config import ViTConfig

MASKED = "MaskedImageModeling"  # ending of the class whose files have the norm outside


def beit_checkpoint(files: RepoFiles, fields: Fields) -> ModelSpec | None:
    """Return the row of a repository with one of these networks, or None."""
    kind = fields.get("model_type")
    if kind in ("beit", "data2vec-vision"):
        family, config = BEIT if kind == "beit" else DATA2VEC, _beit(fields)
    elif kind == "dinov3_vit":
        family, config = DINOV3, _dinov3(fields)
    else:
        return None
    return vit_row(files, family, config, transformers_preprocess(files))


def _beit(fields: Fields) -> ViTConfig:
    fields.require("num_channels", 3)
    fields.require("hidden_act", "gelu")
    fields.require("use_absolute_position_embeddings", False)
    shared = fields.flag("use_shared_relative_position_bias", False)
    if shared == fields.flag("use_relative_position_bias", False):
        raise UnsupportedCheckpointError(
            f"{fields.file} must have relative positions either in each block or shared."
        )
    if not fields.number("layer_scale_init_value", 0.1) > 0:
        raise UnsupportedCheckpointError(f"{fields.file} scales no layers; that is not supported.")
    classes = fields.get("architectures") or [""]
    masked = isinstance(classes, list) and str(classes[0]).endswith(MASKED)
    mean = fields.flag("use_mean_pooling", True)
    width, heads = width_and_heads(fields, 768, 12)
    return with_sizes(
        fields,
        ViTConfig(
            width=width,
            depth=fields.integer("num_hidden_layers", 12, most=DEEPEST),
            heads=heads,
            hidden=fields.integer("intermediate_size", 3072, most=WIDEST),
            patch=1,
            norm_eps=fields.number("layer_norm_eps", 1e-12),
            key_bias=False,
            layer_scale=True,
            positions="relative_shared" if shared else "relative",
            final_norm=masked or not mean,
            pool_norm=mean and not masked,
            pooling="mean" if mean else "cls",
        ),
    )


def _dinov3(fields: Fields) -> ViTConfig:
    fields.require("num_channels", 3)
    for key, wanted in (("query_bias", True), ("key_bias", False), ("value_bias", True),
                        ("proj_bias", True), ("mlp_bias", True)):  # fmt: skip
        fields.require(key, wanted)
    gated = fields.flag("use_gated_mlp", False)
    fields.require("hidden_act", "silu" if gated else "gelu")
    if gated and fields.get("hidden_act") is None:
        raise UnsupportedCheckpointError(f"{fields.file} gates with GELU; that is not supported.")
    width, heads = width_and_heads(fields, 384, 6)
    return with_sizes(
        fields,
        ViTConfig(
            width=width,
            depth=fields.integer("num_hidden_layers", 12, most=DEEPEST),
            heads=heads,
            hidden=fields.integer("intermediate_size", 1536, most=WIDEST),
            swiglu=gated,
            patch=1,
            norm_eps=fields.number("layer_norm_eps", 1e-5),
            key_bias=False,
            layer_scale=True,
            registers=fields.integer("num_register_tokens", 0, least=0, most=1024),
            positions="rotary",
            rotary_base=fields.positive("rope_theta", 100.0),
        ),
    )
