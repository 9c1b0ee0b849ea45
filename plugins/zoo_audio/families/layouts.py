"""Key tables of checkpoints of sound. No torch.

Names come from files that transformers 5.23 writes, and with the older spelling of weight norm
(`weight_g`, `weight_v`) from those that transformers 4 wrote and that the Hub holds.
"""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, merge, move

_HEADS = tuple(
    drop(head, "a part of pretraining or of a task")
    for head in (
        "masked_spec_embed",
        "quantizer.*",
        "project_q.*",
        "project_hid.*",
        "lm_head.*",
        "projector.*",
        "classifier.*",
        "layer_weights",
        "final_proj.*",
        "label_embs_concat",
    )
)


def _attention(source: str, *, out: str, key_bias: bool) -> tuple[Rule, ...]:
    block = "blocks.{i}.attention."
    names = [f"{source}{letter}_proj" for letter in "qkv"]
    biases: tuple[Rule, ...] = (
        (merge([f"{name}.bias" for name in names], block + "qkv.bias"),)
        if key_bias
        else (
            move(names[0] + ".bias", block + "q_bias"),
            move(names[2] + ".bias", block + "v_bias"),
        )
    )
    return (
        merge([f"{name}.weight" for name in names], block + "qkv.weight"),
        *biases,
        move(f"{source}{out}.{{wb}}", block + "proj.{wb}"),
    )


def _positions() -> tuple[Rule, ...]:
    conv = "encoder.pos_conv_embed.conv."
    return (
        move(conv + "weight_g", "positions.length"),
        move(conv + "weight_v", "positions.direction"),
        move(conv + "parametrizations.weight.original0", "positions.length"),
        move(conv + "parametrizations.weight.original1", "positions.direction"),
        move(conv + "bias", "positions.bias"),
        move("encoder.pos_conv_embed.layers.{i}.conv.{wb}", "positions.layers.{i}.{wb}"),
    )


WAV2VEC2 = (
    KeyMap(
        name="transformers wav2vec 2.0",
        prefixes=("wav2vec2.", "hubert.", "data2vec_audio."),
        rules=(
            move("feature_extractor.conv_layers.{i}.conv.{wb}", "stem.{i}.conv.{wb}"),
            move("feature_extractor.conv_layers.{i}.layer_norm.{wb}", "stem.{i}.norm.{wb}"),
            move("feature_projection.layer_norm.{wb}", "project_norm.{wb}"),
            move("feature_projection.projection.{wb}", "project.{wb}"),
            *_positions(),
            move("encoder.layer_norm.{wb}", "norm.{wb}"),
            *_attention("encoder.layers.{i}.attention.", out="out_proj", key_bias=True),
            move("encoder.layers.{i}.layer_norm.{wb}", "blocks.{i}.attention_norm.{wb}"),
            move("encoder.layers.{i}.feed_forward.intermediate_dense.{wb}",
                 "blocks.{i}.mlp.fc1.{wb}"),
            move("encoder.layers.{i}.feed_forward.output_dense.{wb}", "blocks.{i}.mlp.fc2.{wb}"),
            move("encoder.layers.{i}.final_layer_norm.{wb}", "blocks.{i}.mlp_norm.{wb}"),
            *_HEADS,
        ),
    ),
)  # fmt: skip

WHISPER = (
    KeyMap(
        name="transformers Whisper",
        prefixes=("encoder.",),
        rules=(
            drop("decoder.*", "the decoder"),
            drop("model.decoder.*", "the decoder"),
            drop("proj_out.*", "the decoder's head, tied to its embeddings"),
            move("conv1.{wb}", "conv1.{wb}"),
            move("conv2.{wb}", "conv2.{wb}"),
            move("embed_positions.weight", "positions.weight"),
            *_attention("layers.{i}.self_attn.", out="out_proj", key_bias=False),
            move("layers.{i}.self_attn_layer_norm.{wb}", "blocks.{i}.attention_norm.{wb}"),
            move("layers.{i}.fc1.{wb}", "blocks.{i}.mlp.fc1.{wb}"),
            move("layers.{i}.fc2.{wb}", "blocks.{i}.mlp.fc2.{wb}"),
            move("layers.{i}.final_layer_norm.{wb}", "blocks.{i}.mlp_norm.{wb}"),
            move("layer_norm.{wb}", "norm.{wb}"),
        ),
    ),
)
