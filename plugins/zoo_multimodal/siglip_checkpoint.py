"""Recognise a SigLIP by the configuration files of its repository. No torch.

Three kinds: transformers' `config.json` (whose defaults are those of configuration_siglip.py,
version 5.23), open_clip's `open_clip_config.json`, and timm's `config.json` of an image tower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields, read_optional
from zoo.hookspecs import RepoFiles
from zoo.spec import ImagePreprocess, ModelSpec, TextPreprocess, WeightsSpec
from zoo_multimodal.clip_checkpoint import (
    ACTIVATIONS,
    OPEN_CLIP,
    OPEN_CLIP_FILES,
    PROCESSOR,
    TRANSFORMERS,
    TRANSFORMERS_FILES,
)
from zoo_multimodal.clip_text_config import ClipTextConfig
from zoo_multimodal.families.siglip import (
    GEMMA,
    HALVES,
    SIGLIP,
    SO400M,
    image_config,
    read_by_patches,
    siglip_towers,
    text_preprocess,
)
from zoo_multimodal.families.towers import Pair
from zoo_multimodal.open_clip_config import LONGEST, WIDEST, square
from zoo_vision.families.vit_layouts import pixels
from zoo_vision.processing import FILTERS, from_timm, from_transformers, timm_arguments
from zoo_vision.repository import found_row
from zoo_vision.vit_config import ViTConfig

if TYPE_CHECKING:
    from zoo.nn.activations import ActivationName


def _timm(
    width: int,
    depth: int,
    heads: int,
    hidden: int,
    size: int,
    *,
    patch: int = 16,
    activation: ActivationName = "gelu_tanh",
) -> ViTConfig:
    config = image_config(width, depth, heads, hidden, patch=patch, size=size)
    return replace(config, activation=activation, position_mode="bicubic", position_antialias=True)


# timm's names of SigLIP's image towers; some have the exact GELU, unlike the authors'.
TIMM: Mapping[str, ViTConfig] = {
    "vit_base_patch32_siglip_256": _timm(768, 12, 12, 3072, 256, patch=32),
    "vit_base_patch16_siglip_224": _timm(768, 12, 12, 3072, 224, activation="gelu"),
    "vit_base_patch16_siglip_256": _timm(768, 12, 12, 3072, 256, activation="gelu"),
    "vit_base_patch16_siglip_384": _timm(768, 12, 12, 3072, 384, activation="gelu"),
    "vit_base_patch16_siglip_512": _timm(768, 12, 12, 3072, 512, activation="gelu"),
    "vit_large_patch16_siglip_256": _timm(1024, 24, 16, 4096, 256, activation="gelu"),
    "vit_large_patch16_siglip_384": _timm(1024, 24, 16, 4096, 384, activation="gelu"),
    "vit_large_patch16_siglip_512": _timm(1024, 24, 16, 4096, 512),
    "vit_so400m_patch14_siglip_224": _timm(1152, 27, 16, SO400M, 224, patch=14, activation="gelu"),
    "vit_so400m_patch14_siglip_378": _timm(1152, 27, 16, SO400M, 378, patch=14, activation="gelu"),
    "vit_so400m_patch14_siglip_384": _timm(1152, 27, 16, SO400M, 378, patch=14, activation="gelu"),
    "vit_so400m_patch16_siglip_256": _timm(1152, 27, 16, SO400M, 256),
    "vit_so400m_patch16_siglip_384": _timm(1152, 27, 16, SO400M, 384),
    "vit_so400m_patch16_siglip_512": _timm(1152, 27, 16, SO400M, 512),
    "vit_giantopt_patch16_siglip_256": _timm(1536, 40, 16, 6144, 256),
    "vit_giantopt_patch16_siglip_384": _timm(1536, 40, 16, 6144, 384),
}


def siglip_checkpoint(files: RepoFiles) -> tuple[ModelSpec, ...] | None:
    """Return the towers of a repository with a SigLIP, or None.

    A repository with files of both transformers and open_clip is read as open_clip's.

    Raises:
        UnsupportedCheckpointError: It is a SigLIP of a kind that is not supported.
        FormatError: Its configuration makes no sense.
    """
    try:
        value = files.json(OPEN_CLIP)
        if value is not None and not files.names().isdisjoint(OPEN_CLIP_FILES):
            fields = Fields(value, OPEN_CLIP)
            text = fields.inner("model_cfg").inner("text_cfg")
            siglip = text.get("pool_type") == "last" and text.get("no_causal_mask") is True
            return _open_clip(files, fields) if siglip else None
        value = files.json(TRANSFORMERS)
        if not isinstance(value, dict):
            return None
        fields = Fields(value, TRANSFORMERS)
        if fields.get("model_type") == "siglip":
            return _transformers(files, fields)
        name = fields.get("architecture")
        if isinstance(name, str) and name in TIMM:
            return (_image_alone(files, fields, TIMM[name]),)
    except ValueError as error:  # of the towers' configs
        raise UnsupportedCheckpointError(f"{files.source} cannot be built: {error}") from error
    return None


def _image_alone(files: RepoFiles, fields: Fields, config: ViTConfig) -> ModelSpec:
    timm_arguments(fields)
    fields.require("global_pool", "map")
    preprocess = read_by_patches(from_timm(fields.inner("pretrained_cfg")), config.patch)
    return found_row(
        files,
        SIGLIP.image,
        config=config,
        params=config.params,
        preprocess=preprocess,
        inputs=pixels(config.patch, typical=preprocess.size[0]),
    )


def _transformers(files: RepoFiles, fields: Fields) -> tuple[ModelSpec, ...]:
    vision, words = fields.inner("vision_config"), fields.inner("text_config")
    vision.require("num_channels", 3)
    vision.require("vision_use_head", True)
    side, patch = square(vision, "image_size", 224), square(vision, "patch_size", 16)
    image = ViTConfig(
        width=vision.integer("hidden_size", 768, most=WIDEST),
        depth=vision.integer("num_hidden_layers", 12, most=DEEPEST),
        heads=vision.integer("num_attention_heads", 12, most=WIDEST),
        hidden=vision.integer("intermediate_size", 3072, most=WIDEST),
        image_size=(side // patch * patch, side // patch * patch),
        patch=patch,
        activation=_activation(vision),
        norm_eps=vision.number("layer_norm_eps", 1e-6),
        class_token=False,
        pooling="map",
    )
    width = words.integer("hidden_size", 768, most=WIDEST)
    text = ClipTextConfig(
        width=width,
        depth=words.integer("num_hidden_layers", 12, most=DEEPEST),
        heads=words.integer("num_attention_heads", 12, most=WIDEST),
        hidden=words.integer("intermediate_size", 3072, most=WIDEST),
        projection=words.integer("projection_size", width, most=WIDEST),
        activation=_activation(words),
        context=words.integer("max_position_embeddings", 64, most=LONGEST),
        vocab=words.integer("vocab_size", 32_000),
        norm_eps=words.number("layer_norm_eps", 1e-6),
        causal=False,
        projection_bias=True,
        pooling="last",
    )
    preprocess = from_transformers(
        read_optional(files, PROCESSOR),
        mean=HALVES,
        std=HALVES,
        resample=3,
        size=side,
        crop=False,
    )
    return _rows(files, TRANSFORMERS_FILES, Pair(image=image, text=text), preprocess)


def _open_clip(files: RepoFiles, fields: Fields) -> tuple[ModelSpec, ...]:
    model = fields.inner("model_cfg")
    vision, words = model.inner("vision_cfg"), model.inner("text_cfg")
    vision.require("timm_model_name", *TIMM)
    vision.require("timm_pool", "map")
    vision.require("timm_proj", "none", "")
    words.require("proj_bias", True)
    words.inner("norm_kwargs").require("eps", 1e-6)
    approximate = words.inner("act_kwargs").text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise UnsupportedCheckpointError(f"{words.file} has an unknown GELU {approximate!r}.")
    image = TIMM[vision.text("timm_model_name")]
    side = square(vision, "image_size", image.image_size[0])
    width = words.integer("width", 512, most=WIDEST)
    ratio = words.positive("mlp_ratio", 4.0)
    if ratio > 64:
        raise UnsupportedCheckpointError(f"{words.file} has mlp_ratio = {ratio}.")
    text = ClipTextConfig(
        width=width,
        depth=words.integer("layers", 12, most=DEEPEST),
        heads=words.integer("heads", 8, most=WIDEST),
        hidden=int(width * ratio),
        projection=model.integer("embed_dim", most=WIDEST),
        activation="gelu_tanh" if approximate == "tanh" else "gelu",
        context=words.integer("context_length", 77, most=LONGEST),
        vocab=words.integer("vocab_size", 49_408),
        norm_eps=1e-6,
        causal=False,
        projection_bias=True,
        pooling="last",
    )
    recipe = fields.inner("preprocess_cfg")
    recipe.require("interpolation", *FILTERS)
    recipe.require("resize_mode", "squash")
    preprocess = ImagePreprocess(
        size=(side, side),
        resize=None,
        resample=FILTERS[recipe.text("interpolation", "bicubic")],
        mean=recipe.numbers("mean", HALVES),
        std=recipe.numbers("std", HALVES),
    )
    read = side // image.patch * image.patch
    pair = Pair(image=replace(image, image_size=(read, read)), text=text)
    return _rows(files, OPEN_CLIP_FILES, pair, preprocess)


def _rows(
    files: RepoFiles, weights: tuple[str, ...], pair: Pair, preprocess: ImagePreprocess
) -> tuple[ModelSpec, ...]:
    if pair.image.dim != pair.text.dim:
        raise UnsupportedCheckpointError(
            f"{files.source} has vectors of {pair.image.dim} and of {pair.text.dim} features."
        )
    kind: Literal["c4", "gemma"] = "gemma" if pair.text.vocab == GEMMA else "c4"
    words: TextPreprocess = text_preprocess(pair.text.context, kind)
    rows = siglip_towers(
        SIGLIP,
        files.source,
        image=f"{files.source}#image",
        text=f"{files.source}#text",
        pair=pair,
        weights=WeightsSpec(source=files.source, files=weights, revision=files.revision),
        params=(pair.image.params, pair.text.params),
        recipes=(read_by_patches(preprocess, pair.image.patch), words),
        source=files.source,
    )
    image, text = (
        replace(row, license="unknown", objective="see the repository", languages=())
        for row in rows
    )
    return image, text


def _activation(tower: Fields) -> ActivationName:
    name = tower.text("hidden_act", "gelu_pytorch_tanh")
    if name not in ACTIVATIONS:
        raise UnsupportedCheckpointError(f"{tower.file} has the unknown hidden_act {name!r}.")
    return ACTIVATIONS[name]
