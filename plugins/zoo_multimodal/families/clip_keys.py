"""Names of CLIP's tensors in checkpoints: each tower takes its own and names the other's."""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, merge, move

CONSTANT = "constant of the joint space"
IMAGE_TOWER = "the image tower's"
TEXT_TOWER = "the text tower's"
BUFFER = "buffer that is made, not learned"


def open_clip_blocks(prefix: str) -> tuple[Rule, ...]:
    """Return the rules of the blocks of one of open_clip's own transformers."""
    block = f"{prefix}transformer.resblocks.{{i}}"
    return (
        move(f"{block}.ln_1.{{wb}}", "blocks.{i}.norm1.{wb}"),
        move(f"{block}.attn.in_proj_weight", "blocks.{i}.attention.qkv.weight"),
        move(f"{block}.attn.in_proj_bias", "blocks.{i}.attention.qkv.bias"),
        move(f"{block}.attn.out_proj.{{wb}}", "blocks.{i}.attention.proj.{wb}"),
        move(f"{block}.ln_2.{{wb}}", "blocks.{i}.norm2.{wb}"),
        move(f"{block}.mlp.c_fc.{{wb}}", "blocks.{i}.mlp.fc1.{wb}"),
        move(f"{block}.mlp.c_proj.{{wb}}", "blocks.{i}.mlp.fc2.{wb}"),
    )


def transformers_blocks(tower: str) -> tuple[Rule, ...]:
    """Return the rules of the blocks of `text_model` or `vision_model`."""
    block = f"{tower}.encoder.layers.{{i}}"
    parts = [f"{block}.self_attn.{part}_proj" for part in "qkv"]
    return (
        move(f"{block}.layer_norm1.{{wb}}", "blocks.{i}.norm1.{wb}"),
        merge([f"{part}.weight" for part in parts], "blocks.{i}.attention.qkv.weight"),
        merge([f"{part}.bias" for part in parts], "blocks.{i}.attention.qkv.bias"),
        move(f"{block}.self_attn.out_proj.{{wb}}", "blocks.{i}.attention.proj.{wb}"),
        move(f"{block}.layer_norm2.{{wb}}", "blocks.{i}.norm2.{wb}"),
        move(f"{block}.mlp.fc1.{{wb}}", "blocks.{i}.mlp.fc1.{wb}"),
        move(f"{block}.mlp.fc2.{{wb}}", "blocks.{i}.mlp.fc2.{wb}"),
    )


# OpenAI's own files have these names too; three integers of their TorchScript archive come along.
_OPEN_CLIP_REST = (
    drop("logit_scale", CONSTANT),
    drop("attn_mask", BUFFER),
    drop("input_resolution", "setting"),
    drop("context_length", "setting"),
    drop("vocab_size", "setting"),
)

OPEN_CLIP_IMAGE = KeyMap(
    name="open_clip",
    rules=(
        move("visual.conv1.weight", "patches.weight"),
        move("visual.class_embedding", "class_token", lead=2),
        move("visual.positional_embedding", "positions", lead=1),
        move("visual.ln_pre.{wb}", "pre_norm.{wb}"),
        *open_clip_blocks("visual."),
        move("visual.ln_post.{wb}", "norm.{wb}"),
        move("visual.proj", "projection.weight", transpose=True),
        drop("transformer.resblocks.*", TEXT_TOWER),
        drop("token_embedding.weight", TEXT_TOWER),
        drop("positional_embedding", TEXT_TOWER),
        drop("ln_final.{wb}", TEXT_TOWER),
        drop("text_projection", TEXT_TOWER),
        drop("text.*", TEXT_TOWER),
        *_OPEN_CLIP_REST,
    ),
)

OPEN_CLIP_TEXT = KeyMap(
    name="open_clip",
    prefixes=("text.",),  # where open_clip keeps the tower if a config asks for "custom_text"
    rules=(
        move("token_embedding.weight", "words.weight"),
        move("positional_embedding", "positions", lead=1),
        *open_clip_blocks(""),
        move("ln_final.{wb}", "norm.{wb}"),
        move("text_projection", "projection.weight", transpose=True),
        drop("visual.*", IMAGE_TOWER),
        *_OPEN_CLIP_REST,
    ),
)

TRANSFORMERS_IMAGE = KeyMap(
    name="transformers",
    rules=(
        move("vision_model.embeddings.patch_embedding.weight", "patches.weight"),
        move("vision_model.embeddings.class_embedding", "class_token", lead=2),
        move("vision_model.embeddings.position_embedding.weight", "positions", lead=1),
        drop("vision_model.embeddings.position_ids", BUFFER),
        move("vision_model.pre_layrnorm.{wb}", "pre_norm.{wb}"),  # spelt so in every file
        *transformers_blocks("vision_model"),
        move("vision_model.post_layernorm.{wb}", "norm.{wb}"),
        move("visual_projection.weight", "projection.weight"),
        drop("text_model.*", TEXT_TOWER),
        drop("text_projection.weight", TEXT_TOWER),
        drop("logit_scale", CONSTANT),
    ),
)

TRANSFORMERS_TEXT = KeyMap(
    name="transformers",
    rules=(
        move("text_model.embeddings.token_embedding.weight", "words.weight"),
        move("text_model.embeddings.position_embedding.weight", "positions", lead=1),
        drop("text_model.embeddings.position_ids", BUFFER),
        *transformers_blocks("text_model"),
        move("text_model.final_layer_norm.{wb}", "norm.{wb}"),
        move("text_projection.weight", "projection.weight"),
        drop("vision_model.*", IMAGE_TOWER),
        drop("visual_projection.weight", IMAGE_TOWER),
        drop("logit_scale", CONSTANT),
    ),
)

IMAGE_KEYMAPS = (OPEN_CLIP_IMAGE, TRANSFORMERS_IMAGE)
TEXT_KEYMAPS = (OPEN_CLIP_TEXT, TRANSFORMERS_TEXT)
