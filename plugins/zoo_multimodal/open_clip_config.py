"""Read open_clip's `open_clip_config.json`. No torch.

Defaults: open_clip/model.py, CLIPVisionCfg and CLIPTextCfg (version 3.3.0).
"""

from __future__ import annotations

from zoo.errors import UnsupportedCheckpointError
from zoo.fields import DEEPEST, Fields
from zoo.spec import ImagePreprocess
from zoo_multimodal.clip_text_config import ClipTextConfig
from zoo_multimodal.families.towers import Pair, image_preprocess
from zoo_vision.processing import CLIP_MEAN, CLIP_STD
from zoo_vision.vit_config import ViTConfig

WIDEST = 65_536  # of a token or a hidden layer
LONGEST = 65_536  # tokens
LARGEST_IMAGE = 8_192  # pixels
SHARPEST_MLP = 64.0  # hidden width in widths of a token

# Fields that switch on what the networks here do not have, and the values that leave it off.
_MODEL_OFF = ("multimodal_cfg", "init_logit_bias")
_TOWER_OFF = ("ls_init_value", "norm_kwargs", "act_kwargs", "block_type")
_TOWER_FALSE = ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn",
                "scale_fc", "final_ln_after_pool")  # fmt: skip
_IMAGE_OFF = ("timm_model_name", *_TOWER_OFF)
_IMAGE_FALSE = ("attentional_pool", "no_ln_pre", *_TOWER_FALSE)
_TEXT_OFF = ("hf_model_name", "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs",
             *_TOWER_OFF)  # fmt: skip
_TEXT_FALSE = ("embed_cls", "no_causal_mask", "proj_bias", *_TOWER_FALSE)


def read_pair(fields: Fields) -> Pair:
    """Return the configs of both towers.

    Raises:
        UnsupportedCheckpointError: A tower has a feature that is not supported.
        ValueError: Its numbers do not fit each other.
    """
    model = fields.inner("model_cfg")
    image, text = model.inner("vision_cfg"), model.inner("text_cfg")
    _refuse(model, image, text)
    quick = model.flag("quick_gelu", False)
    projection = model.integer("embed_dim", most=WIDEST)
    width = image.integer("width", 768, most=WIDEST)
    side = square(image, "image_size", 224)
    text_width = text.integer("width", 512, most=WIDEST)
    return Pair(
        image=ViTConfig(
            width=width,
            depth=image.integer("layers", 12, most=DEEPEST),
            heads=max(1, width // image.integer("head_width", 64, most=WIDEST)),
            hidden=_hidden(image, width),
            image_size=(side, side),
            patch=square(image, "patch_size", 16),
            activation="quick_gelu" if quick else "gelu",
            norm_eps=1e-5,
            patch_bias=False,
            pre_norm=True,
            position_antialias=True,
            projection=projection,
        ),
        text=ClipTextConfig(
            width=text_width,
            depth=text.integer("layers", 12, most=DEEPEST),
            heads=text.integer("heads", 8, most=WIDEST),
            hidden=_hidden(text, text_width),
            projection=projection,
            activation="quick_gelu" if quick else "gelu",
            context=text.integer("context_length", 77, most=LONGEST),
            vocab=text.integer("vocab_size", 49_408),
            end=text.integer("eos_id", 2) if text.get("pool_type") == "eos" else None,
        ),
    )


def read_preprocess(fields: Fields, size: int) -> ImagePreprocess:
    """Return the transform of images, by default to the size that the tower was trained on.

    Raises:
        UnsupportedCheckpointError: It does something else than resize and crop.
    """
    recipe = fields.inner("preprocess_cfg")
    recipe.require("interpolation", "bicubic")
    recipe.require("resize_mode", "shortest")
    recipe.require("mode", "RGB")
    std = recipe.numbers("std", CLIP_STD)
    if min(std) <= 0:
        raise UnsupportedCheckpointError(f"{recipe.file} has std = {std}; it must be positive.")
    return image_preprocess(
        square(recipe, "size", size), mean=recipe.numbers("mean", CLIP_MEAN), std=std
    )


def square(fields: Fields, key: str, default: int) -> int:
    """Return the side of a square that is given as one number or two equal ones.

    Raises:
        UnsupportedCheckpointError: They differ.
    """
    if not isinstance(fields.get(key), list):
        return fields.integer(key, default, most=LARGEST_IMAGE)
    height, width = fields.integers(key, (default, default), most=LARGEST_IMAGE)
    if height != width:
        raise UnsupportedCheckpointError(
            f"{fields.file} has {key} = [{height}, {width}]; supported are squares."
        )
    return height


def _refuse(model: Fields, image: Fields, text: Fields) -> None:
    for fields, off, false in (
        (model, _MODEL_OFF, ()),
        (image, _IMAGE_OFF, _IMAGE_FALSE),
        (text, _TEXT_OFF, _TEXT_FALSE),
    ):
        for key in off:
            fields.require(key)
        for key in false:
            fields.require(key, False)
    if isinstance(image.get("layers"), list):
        raise UnsupportedCheckpointError(
            f"{image.file} describes CLIP's ModifiedResNet (layers is a list); supported are its "
            "vision transformers."
        )
    image.require("pos_embed_type", "learnable")
    image.require("pool_type", "tok")
    text.require("pool_type", "argmax", "eos")
    text.require("proj_type", "linear")


def _hidden(fields: Fields, width: int) -> int:
    """Return the width inside the MLP, rounded down as open_clip does."""
    ratio = fields.number("mlp_ratio", 4.0)
    if not 0 < ratio <= SHARPEST_MLP:
        raise UnsupportedCheckpointError(f"{fields.file} has mlp_ratio = {ratio}.")
    return max(1, int(width * ratio))
