"""Names of SigLIP's tensors in checkpoints: each tower takes its own and names the other's."""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, move, split
from zoo_multimodal.families.clip_keys import (
    BUFFER,
    CONSTANT,
    IMAGE_TOWER,
    TEXT_TOWER,
    open_clip_blocks,
    transformers_blocks,
)
from zoo_vision.families.vit_layouts import fused_layout

_CONSTANTS = (drop("logit_scale", CONSTANT), drop("logit_bias", CONSTANT))
_PARTS = ("query", "key", "value")


def _head(theirs: str) -> tuple[Rule, ...]:
    """Return the rules of transformers' pooling, whose attention is torch's own."""
    return (
        move(f"{theirs}.probe", "map_pool.probe"),
        split(f"{theirs}.attention.in_proj_weight", [f"map_pool.{p}.weight" for p in _PARTS]),
        split(f"{theirs}.attention.in_proj_bias", [f"map_pool.{p}.bias" for p in _PARTS]),
        move(f"{theirs}.attention.out_proj.{{wb}}", "map_pool.proj.{wb}"),
        move(f"{theirs}.layernorm.{{wb}}", "map_pool.norm.{wb}"),
        move(f"{theirs}.mlp.fc1.{{wb}}", "map_pool.mlp.fc1.{wb}"),
        move(f"{theirs}.mlp.fc2.{{wb}}", "map_pool.mlp.fc2.{wb}"),
    )


IMAGE_KEYMAPS = (
    KeyMap(
        name="transformers",
        rules=(
            move("vision_model.embeddings.patch_embedding.{wb}", "patches.{wb}"),
            move("vision_model.embeddings.position_embedding.weight", "positions", lead=1),
            drop("vision_model.embeddings.position_ids", BUFFER),
            *transformers_blocks("vision_model"),
            move("vision_model.post_layernorm.{wb}", "norm.{wb}"),
            *_head("vision_model.head"),
            drop("text_model.*", TEXT_TOWER),
            *_CONSTANTS,
        ),
    ),
    # timm's own files of image towers, and open_clip's of both, whose trunk is timm's network
    fused_layout(
        move("attn_pool.latent", "map_pool.probe"),
        move("attn_pool.q.{wb}", "map_pool.query.{wb}"),
        split("attn_pool.kv.{wb}", ["map_pool.key.{wb}", "map_pool.value.{wb}"]),
        move("attn_pool.proj.{wb}", "map_pool.proj.{wb}"),
        move("attn_pool.norm.{wb}", "map_pool.norm.{wb}"),
        move("attn_pool.mlp.fc1.{wb}", "map_pool.mlp.fc1.{wb}"),
        move("attn_pool.mlp.fc2.{wb}", "map_pool.mlp.fc2.{wb}"),
        drop("text.*", TEXT_TOWER),
        *_CONSTANTS,
        prefixes=("visual.trunk.",),
    ),
)

TEXT_KEYMAPS = (
    KeyMap(
        name="transformers",
        rules=(
            move("text_model.embeddings.token_embedding.weight", "words.weight"),
            move("text_model.embeddings.position_embedding.weight", "positions", lead=1),
            drop("text_model.embeddings.position_ids", BUFFER),
            *transformers_blocks("text_model"),
            move("text_model.final_layer_norm.{wb}", "norm.{wb}"),
            move("text_model.head.{wb}", "projection.{wb}"),
            drop("vision_model.*", IMAGE_TOWER),
            *_CONSTANTS,
        ),
    ),
    KeyMap(
        name="open_clip",
        rules=(
            move("text.token_embedding.weight", "words.weight"),
            move("text.positional_embedding", "positions", lead=1),
            *open_clip_blocks("text."),
            move("text.ln_final.{wb}", "norm.{wb}"),
            move("text.text_projection.{wb}", "projection.{wb}"),
            drop("visual.*", IMAGE_TOWER),
            *_CONSTANTS,
        ),
    ),
)
