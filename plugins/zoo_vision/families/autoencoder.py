"""Variational autoencoders: the encoder that Stable Diffusion's latents come from.

Kingma and Welling, arXiv 1312.6114; weights of Rombach et al., arXiv 2112.10752, with a decoder
that was trained on. Numbers: diffusers' conversion of the authors' first-stage model (version
0.42.1, models/autoencoders/autoencoder_kl.py).
"""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, merge, move
from zoo.spec import BATCH, Dim, Family, ImagePreprocess, Paper, TensorSpec, WeightsSpec
from zoo_vision.autoencoder_config import AutoencoderConfig

DIFFUSERS = (
    "https://github.com/huggingface/diffusers/blob/v0.42.1/"
    "src/diffusers/models/autoencoders/autoencoder_kl.py"
)


def _block(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        *(
            move(f"{theirs}.{part}.{{wb}}", f"{ours}.{part}.{{wb}}")
            for part in ("norm1", "conv1", "norm2", "conv2")
        ),
        move(f"{theirs}.conv_shortcut.{{wb}}", f"{ours}.shortcut.{{wb}}"),
    )


def _attention(query: str, key: str, value: str, out: str) -> tuple[Rule, ...]:
    """Return the rules of the one attention; diffusers had other names before version 0.17."""
    theirs, ours = "encoder.mid_block.attentions.0", "middle.attention"
    parts = (query, key, value)
    return (
        merge([f"{theirs}.{part}.weight" for part in parts], f"{ours}.qkv.weight"),
        merge([f"{theirs}.{part}.bias" for part in parts], f"{ours}.qkv.bias"),
        move(f"{theirs}.{out}.{{wb}}", f"{ours}.proj.{{wb}}"),
    )


def _keymap(name: str, attention: tuple[Rule, ...]) -> KeyMap:
    return KeyMap(
        name=name,
        rules=(
            move("encoder.conv_in.{wb}", "stem.{wb}"),
            *_block("encoder.down_blocks.{s}.resnets.{i}", "blocks.{s}.layers.{i}"),
            move("encoder.down_blocks.{s}.downsamplers.0.conv.{wb}", "blocks.{s}.halve.{wb}"),
            *_block("encoder.mid_block.resnets.0", "middle.block1"),
            move("encoder.mid_block.attentions.0.group_norm.{wb}", "middle.norm.{wb}"),
            *attention,
            *_block("encoder.mid_block.resnets.1", "middle.block2"),
            move("encoder.conv_norm_out.{wb}", "norm.{wb}"),
            move("encoder.conv_out.{wb}", "head.{wb}"),
            move("quant_conv.{wb}", "posterior.{wb}"),
            drop("decoder.*", "decoder"),
            drop("post_quant_conv.{wb}", "decoder"),
        ),
        prefixes=("vae.",),
    )


VAE = Family(
    name="vae",
    title="Auto-Encoding Variational Bayes",
    authors="Kingma, Diederik P. and Welling, Max",
    arxiv="1312.6114",
    year=2013,
    objective="reconstruction (L1 or L2, LPIPS, adversarial) with a small KL term",
    license="mit",
    modality="image",
    keymaps=(
        _keymap("diffusers", _attention("to_q", "to_k", "to_v", "to_out.0")),
        _keymap("older diffusers", _attention("query", "key", "value", "proj_attn")),
    ),
)


def _pixels(stride: int) -> tuple[TensorSpec, ...]:
    height, width = (
        Dim(name=name, min=8 * stride, typical=256, max=1024, multiple=stride)
        for name in ("height", "width")
    )
    return (TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, height, width)),)


CONFIG = AutoencoderConfig()

ROWS = (
    VAE.model(
        "vae-sd",
        config=CONFIG,
        weights=WeightsSpec(
            source="hf:stabilityai/sd-vae-ft-mse",
            files=("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
            layout="diffusers",
            note="File names by diffusers' convention; the repository has not been seen.",
        ),
        preprocess=ImagePreprocess(size=(256, 256), resize=256, mean=(0.5,) * 3, std=(0.5,) * 3),
        inputs=_pixels(CONFIG.stride),
        outputs=("pooled", "tokens", "pyramid"),
        params=34_163_664,
        papers=(
            Paper(
                title="High-Resolution Image Synthesis with Latent Diffusion Models",
                authors="Rombach, Robin and Blattmann, Andreas and Lorenz, Dominik and Esser, "
                'Patrick and Ommer, Bj{\\"o}rn',
                arxiv="2112.10752",
                year=2021,
            ),
        ),
        aliases=("vae-sd-ft-mse",),
        note="Deterministic: the mean of the posterior, not a sample, and not multiplied by the "
        "0.18215 of Stable Diffusion. The latents are a map of 4 channels that keeps what "
        "reconstruction needs, so `tokens` or `pyramid` is the representation. `pooled`, their "
        "mean over places, cannot say much with 4 numbers; it is there so that every encoder has "
        "a vector to compare.",
        source=DIFFUSERS,
    ),
)
