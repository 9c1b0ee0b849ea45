"""V-JEPA 2: Assran et al., 2025. No torch."""

from __future__ import annotations

from zoo.keys import KeyMap, drop, merge, move
from zoo.spec import (
    BATCH,
    Dim,
    Family,
    ImagePreprocess,
    ModelSpec,
    TensorSpec,
    VideoPreprocess,
    WeightsSpec,
)
from zoo_vision.vjepa2_config import VJepa2Config

_LAYER, _BLOCK = "encoder.layer.{i}.", "blocks.{i}."
_QKV = ("query", "key", "value")

VJEPA2 = Family(
    name="vjepa2",
    title="V-JEPA 2: Self-Supervised Video Models Enable Understanding, Prediction and Planning",
    authors="Assran, Mido and others",
    arxiv="2506.09985",
    year=2025,
    objective="masked latents of clips",
    license="mit",
    modality="video",
    keymaps=(
        KeyMap(
            name="transformers V-JEPA 2",
            prefixes=("vjepa2.",),
            rules=(
                move("encoder.embeddings.patch_embeddings.proj.{wb}", "stem.{wb}"),
                move(_LAYER + "norm1.{wb}", _BLOCK + "attention_norm.{wb}"),
                *(merge([f"{_LAYER}attention.{name}.{kind}" for name in _QKV],
                        f"{_BLOCK}attention.qkv.{kind}") for kind in ("weight", "bias")),
                move(_LAYER + "attention.proj.{wb}", _BLOCK + "attention.proj.{wb}"),
                move(_LAYER + "norm2.{wb}", _BLOCK + "mlp_norm.{wb}"),
                move(_LAYER + "mlp.fc1.{wb}", _BLOCK + "mlp.fc1.{wb}"),
                move(_LAYER + "mlp.fc2.{wb}", _BLOCK + "mlp.fc2.{wb}"),
                move("encoder.layernorm.{wb}", "norm.{wb}"),
                drop("predictor.*", "the predictor of the training"),
                drop("pooler.*", "a head of a task"),
                drop("classifier.*", "a head of a task"),
            ),
        ),
    ),
)  # fmt: skip

FRAMES = 64


def _row(
    name: str,
    repo: str,
    revision: str,
    config: VJepa2Config,
    params: int,
    aliases: tuple[str, ...] = (),
) -> ModelSpec:
    frames = Dim(name="frames", min=2, typical=16, max=FRAMES, multiple=config.tubelet)
    return VJEPA2.model(
        name,
        config=config,
        weights=WeightsSpec(source=f"hf:{repo}", revision=revision, layout="transformers"),
        preprocess=VideoPreprocess(
            frame=ImagePreprocess(
                size=config.image_size,
                resize=config.size * 256 // 224,
                resample="bilinear",
                crop_offset="floor",
            ),
            frames=FRAMES,
            multiple=config.tubelet,
        ),
        inputs=(
            TensorSpec(
                name="clip",
                dtype="float32",
                shape=(BATCH, frames, 3, *config.image_size),
                padding="forbidden",
            ),
        ),
        params=params,
        aliases=aliases,
        note="The encoder alone. The vector is the mean of all tokens; the authors train a pooler "
        "for each task. A clip keeps up to 64 frames, spread evenly; an image is a clip of two. "
        "The repository holds an MIT and an Apache licence.",
        source=f"https://huggingface.co/{repo}/blob/{revision}/config.json",
    )


_GIANT = VJepa2Config(width=1408, depth=40, heads=22, hidden=6144)

ROWS = (
    _row(
        "vjepa2-l16",
        "facebook/vjepa2-vitl-fpc64-256",
        "b3c1679b7c34d3255ef3547f27c7b226aefab26f",
        VJepa2Config(width=1024, depth=24, heads=16, hidden=4096),
        303_885_312,
        aliases=("vjepa2",),
    ),
    _row(
        "vjepa2-h16",
        "facebook/vjepa2-vith-fpc64-256",
        "b5eac8703e3efdc1547fbb6ddfbeb133dc0bdee5",
        VJepa2Config(width=1280, depth=32, heads=16, hidden=5120),
        631_648_000,
    ),
    _row(
        "vjepa2-g16",
        "facebook/vjepa2-vitg-fpc64-256",
        "875c192b7b704b87d1e1d99345769632dd5f739a",
        _GIANT,
        1_012_173_952,
    ),
    _row(
        "vjepa2-g16-384",
        "facebook/vjepa2-vitg-fpc64-384",
        "12ca91694b230e0d4b5b0078af6f4ae1d51e933d",
        VJepa2Config(width=1408, depth=40, heads=22, hidden=6144, size=384),
        1_012_173_952,
    ),
)
