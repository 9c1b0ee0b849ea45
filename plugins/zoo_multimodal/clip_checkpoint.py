"""Recognise a CLIP by the configuration files of its repository. No torch.

Two kinds: open_clip's `open_clip_config.json`, and transformers' `config.json` (whose defaults are
those of configuration_clip.py, version 5.23).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields, read_optional
from zoo.hookspecs import RepoFiles
from zoo.spec import ImagePreprocess, ModelSpec, TextPreprocess, WeightsSpec
from zoo_multimodal import open_clip_config
from zoo_multimodal.clip_text_config import ClipTextConfig
from zoo_multimodal.families.clip import CLIP
from zoo_multimodal.families.openclip import OPENCLIP
from zoo_multimodal.families.towers import TOKENIZER, Families, Pair, towers
from zoo_multimodal.open_clip_config import LONGEST, WIDEST, square
from zoo_vision.processing import CLIP_MEAN, CLIP_STD, from_transformers
from zoo_vision.repository import PROCESSOR as PROCESSOR
from zoo_vision.vit_config import ViTConfig

if TYPE_CHECKING:
    from zoo.nn.activations import ActivationName

OPEN_CLIP = "open_clip_config.json"
TRANSFORMERS = "config.json"

OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TRANSFORMERS_FILES = ("model.safetensors", "pytorch_model.bin")  # or the index of their shards
ACTIVATIONS: dict[str, ActivationName] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
}


def clip_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Return the two towers of a repository with a CLIP, or None.

    A repository with both libraries' files is read as open_clip's.

    Raises:
        UnsupportedCheckpointError: It is a CLIP of a kind that is not supported.
        FormatError: Its configuration makes no sense.
    """
    try:
        config = files.json(OPEN_CLIP)
        if config is not None and not files.names().isdisjoint(OPEN_CLIP_FILES):
            return _open_clip(files, Fields(config, OPEN_CLIP))
        config = files.json(TRANSFORMERS)
        if isinstance(config, dict) and config.get("model_type") == "clip":
            return _transformers(files, Fields(config, TRANSFORMERS))
    except ValueError as error:  # of the towers' configs
        raise UnsupportedCheckpointError(f"{files.source} cannot be built: {error}") from error
    return None


def _open_clip(files: RepoFiles, fields: Fields) -> tuple[ModelSpec, ...]:
    pair = open_clip_config.read_pair(fields)
    preprocess = open_clip_config.read_preprocess(fields, pair.image.image_size[0])
    return _rows(files, OPENCLIP, OPEN_CLIP_FILES, pair, preprocess, clean="clip")


def _transformers(files: RepoFiles, fields: Fields) -> tuple[ModelSpec, ...]:
    pair = Pair(
        image=_image_config(fields.inner("vision_config"), fields),
        text=_text_config(fields.inner("text_config"), fields),
    )
    preprocess = from_transformers(
        read_optional(files, PROCESSOR),
        mean=CLIP_MEAN,
        std=CLIP_STD,
        resample=3,
        size=pair.image.image_size[0],
        crop=True,
    )
    # The library's tokenizer cleans nothing up; open_clip's does.
    return _rows(files, CLIP, TRANSFORMERS_FILES, pair, preprocess, clean="none")


def _image_config(tower: Fields, model: Fields) -> ViTConfig:
    tower.require("num_channels", 3)
    side = square(tower, "image_size", 224)
    return ViTConfig(
        width=tower.integer("hidden_size", 768, most=WIDEST),
        depth=tower.integer("num_hidden_layers", 12, most=DEEPEST),
        heads=tower.integer("num_attention_heads", 12, most=WIDEST),
        hidden=tower.integer("intermediate_size", 3072, most=WIDEST),
        image_size=(side, side),
        patch=square(tower, "patch_size", 32),
        activation=_activation(tower),
        norm_eps=tower.number("layer_norm_eps", 1e-5),
        patch_bias=False,
        pre_norm=True,
        projection=model.integer("projection_dim", 512, most=WIDEST),
    )


def _text_config(tower: Fields, model: Fields) -> ClipTextConfig:
    # 2 stands in files from before 2023, when the highest id was taken whatever the file said.
    end = tower.integer("eos_token_id", 49_407)
    return ClipTextConfig(
        width=tower.integer("hidden_size", 512, most=WIDEST),
        depth=tower.integer("num_hidden_layers", 12, most=DEEPEST),
        heads=tower.integer("num_attention_heads", 8, most=WIDEST),
        hidden=tower.integer("intermediate_size", 2048, most=WIDEST),
        projection=model.integer("projection_dim", 512, most=WIDEST),
        activation=_activation(tower),
        context=tower.integer("max_position_embeddings", 77, most=LONGEST),
        vocab=tower.integer("vocab_size", 49_408),
        end=None if end == 2 else end,
        norm_eps=tower.number("layer_norm_eps", 1e-5),
    )


def _activation(tower: Fields) -> ActivationName:
    name = tower.text("hidden_act", "quick_gelu")
    if name not in ACTIVATIONS:
        raise UnsupportedCheckpointError(f"{tower.file} has the unknown hidden_act {name!r}.")
    return ACTIVATIONS[name]


def _rows(
    files: RepoFiles,
    families: Families,
    weights: tuple[str, ...],
    pair: Pair,
    preprocess: ImagePreprocess,
    *,
    clean: Literal["none", "clip"],
) -> tuple[ModelSpec, ...]:
    rows = towers(
        families,
        files.source,
        image=f"{files.source}#image",
        text=f"{files.source}#text",
        pair=pair,
        weights=WeightsSpec(source=files.source, files=weights, revision=files.revision),
        params=(pair.image.params, pair.text.params),
        preprocess=preprocess,
        tokenizer_home=None if "tokenizer.json" in files.names() else TOKENIZER,
        source=files.source,
    )
    image, text = (
        replace(row, license="unknown", objective="see the repository", languages=())
        for row in rows
    )
    recipe = replace(cast(TextPreprocess, text.preprocess), clean=clean)
    return image, replace(text, preprocess=recipe)
