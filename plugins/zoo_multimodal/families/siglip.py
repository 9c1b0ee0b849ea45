"""SigLIP and SigLIP 2: image and text towers whose pairs are scored one by one.

Zhai et al., arXiv 2303.15343; Tschannen et al., arXiv 2502.14786. Numbers: open_clip's
model_configs/*SigLIP*.json (version 3.3.0). The authors' networks (google-research/big_vision,
models/vit.py at 0b73d7b) have GELU in its tanh form everywhere, as transformers has; open_clip has
the exact one in some.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from zoo.spec import (
    Family,
    ImagePreprocess,
    Modality,
    ModelSpec,
    Space,
    TextPreprocess,
    WeightsSpec,
)
from zoo_multimodal.clip_text_config import ClipTextConfig
from zoo_multimodal.families.siglip_keys import IMAGE_KEYMAPS, TEXT_KEYMAPS
from zoo_multimodal.families.towers import Families, Pair, families, text_inputs
from zoo_vision.families.vit_layouts import pixels
from zoo_vision.vit_config import ViTConfig

SOURCE = "https://github.com/mlfoundations/open_clip/tree/v3.3.0/src/open_clip/model_configs"
HALVES = (0.5, 0.5, 0.5)
TEMPLATE = "This is a photo of {}."


SIGLIP = families(
    Family(
        name="siglip",
        title="Sigmoid Loss for Language Image Pre-Training",
        authors="Zhai, Xiaohua and Mustafa, Basil and Kolesnikov, Alexander and Beyer, Lucas",
        arxiv="2303.15343",
        year=2023,
        objective="image-text, each pair by itself (sigmoid), WebLI",
        license="apache-2.0",
        modality="image",
        keymaps=IMAGE_KEYMAPS,
    ),
    text_keymaps=TEXT_KEYMAPS,
    languages=("en",),
)
SIGLIP2 = families(
    Family(
        name="siglip2",
        title="SigLIP 2: Multilingual Vision-Language Encoders with Improved Semantic "
        "Understanding, Localization, and Dense Features",
        authors="Tschannen, Michael and others",
        arxiv="2502.14786",
        year=2025,
        objective="image-text, each pair by itself (sigmoid), captioning, self-distillation, WebLI",
        license="apache-2.0",
        modality="image",
        keymaps=IMAGE_KEYMAPS,
    ),
    text_keymaps=TEXT_KEYMAPS,
    languages=("multilingual",),
)


def image_config(
    width: int, depth: int, heads: int, hidden: int, *, patch: int = 16, size: int = 224
) -> ViTConfig:
    """Return an image tower."""
    return ViTConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=hidden,
        image_size=(size, size),
        patch=patch,
        activation="gelu_tanh",
        class_token=False,
        position_mode="linear_corners",  # big_vision's resample_posemb
        pooling="map",
    )


def text_config(
    width: int,
    depth: int,
    heads: int,
    hidden: int,
    *,
    vocab: int,
    context: int = 64,
    projection: int | None = None,
) -> ClipTextConfig:
    """Return a text tower."""
    return ClipTextConfig(
        width=width,
        depth=depth,
        heads=heads,
        hidden=hidden,
        projection=projection or width,
        activation="gelu_tanh",
        context=context,
        vocab=vocab,
        norm_eps=1e-6,
        causal=False,
        projection_bias=True,
        pooling="last",
    )


def image_preprocess(size: int, patch: int = 1) -> ImagePreprocess:
    """Return the authors' preparation of images: squashed, not cropped."""
    whole = ImagePreprocess(size=(size, size), resize=None, mean=HALVES, std=HALVES)
    return read_by_patches(whole, patch)


def read_by_patches(recipe: ImagePreprocess, patch: int) -> ImagePreprocess:
    """Return a preparation without the pixels, below and on the right, that no patch reads."""
    height, width = recipe.size
    unread = height % patch, width % patch
    return replace(recipe, size=(height - unread[0], width - unread[1]), unread=unread)


def text_preprocess(context: int, kind: Literal["c4", "gemma"]) -> TextPreprocess:
    """Return the preparation of texts for one of the two vocabularies.

    Args:
        context: Tokens of every text.
        kind: `c4`: English, 32,000 pieces, filled up with ends of text; `gemma`: many languages,
            256,000 pieces, filled up with padding.
    """
    if kind == "c4":
        return TextPreprocess(
            max_length=context,
            tokenizer=("tokenizer.json", "spiece.model"),
            pad_id=1,
            pad_to_max=True,
            ending="</s>",
            clean="canonical",
        )
    return TextPreprocess(
        max_length=context, pad_to_max=True, ending="<eos>", clean="lower", pad_id=0
    )


def siglip_towers(
    families: Families,
    name: str,
    *,
    image: str,
    text: str,
    pair: Pair,
    weights: WeightsSpec,
    params: tuple[int, int],
    recipes: tuple[ImagePreprocess, TextPreprocess],
    aliases: tuple[str, ...] = (),
    note: str = "",
    source: str = SOURCE,
) -> tuple[ModelSpec, ModelSpec]:
    """Return the rows of an image and a text tower that share a space and a file.

    Args:
        families: Of the paper.
        name: Of the space.
        image: Name of the image tower's row.
        text: Name of the text tower's row.
        pair: Both configs.
        weights: The file that holds both towers.
        params: Parameters of the image tower, of the text tower.
        recipes: Preprocessing of images, of texts.
        aliases: Of the space.
        note: What a user should know.
        source: URL of the numbers.
    """
    names: dict[Modality, str] = {"image": image, "text": text}
    space = Space(
        name=name,
        towers=names,
        scale="logit_scale",
        bias="logit_bias",
        activation="sigmoid",
        template=TEMPLATE,
        aliases=aliases,
    )
    return (
        families.image.model(
            image,
            config=pair.image,
            weights=weights,
            preprocess=recipes[0],
            inputs=pixels(pair.image.patch, typical=recipes[0].size[0]),
            params=params[0],
            space=space,
            note=note,
            source=source,
        ),
        families.text.model(
            text,
            config=pair.text,
            weights=weights,
            preprocess=recipes[1],
            inputs=text_inputs(pair.text),
            params=params[1],
            space=space,
            note=note,
            source=source,
        ),
    )


NOTE = (
    "The weights are Google's own repository in transformers' layout, with GELU in its tanh form. "
    "The text tower attends to its padding, as it was trained."
)
SO400M = 4304  # width inside the MLPs


def _rows(
    families: Families,
    name: str,
    *,
    image: str,
    text: str,
    pair: Pair,
    repo: str,
    revision: str,
    params: tuple[int, int],
    size: int | None = None,
    aliases: tuple[str, ...] = (),
) -> tuple[ModelSpec, ModelSpec]:
    return siglip_towers(
        families,
        name,
        image=image,
        text=text,
        pair=pair,
        weights=WeightsSpec(source=repo, revision=revision, layout="transformers"),
        params=params,
        recipes=(
            image_preprocess(size or pair.image.image_size[0], pair.image.patch),
            text_preprocess(pair.text.context, "c4" if families is SIGLIP else "gemma"),
        ),
        aliases=aliases,
        note=NOTE,
    )


C4, GEMMA = 32_000, 256_000  # pieces of the two vocabularies

ROWS: tuple[ModelSpec, ...] = (
    *_rows(
        SIGLIP,
        "siglip-b16",
        image="siglip-b16-image",
        text="siglip-b16-text",
        pair=Pair(
            image=image_config(768, 12, 12, 3072), text=text_config(768, 12, 12, 3072, vocab=C4)
        ),
        repo="hf:google/siglip-base-patch16-224",
        revision="7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed",
        params=(92_884_224, 110_271_744),
        aliases=("siglip",),
    ),
    *_rows(
        SIGLIP,
        "siglip-l16-256",
        image="siglip-l16-256-image",
        text="siglip-l16-256-text",
        pair=Pair(
            image=image_config(1024, 24, 16, 4096, size=256),
            text=text_config(1024, 24, 16, 4096, vocab=C4),
        ),
        repo="hf:google/siglip-large-patch16-256",
        revision="d0da9f876e7d66b4e250cd2450c3ba2ce735e447",
        params=(315_956_224, 336_194_560),
    ),
    *_rows(
        SIGLIP,
        "siglip-so400m-14",
        image="siglip-so400m-14-image",
        text="siglip-so400m-14-text",
        pair=Pair(
            image=image_config(1152, 27, 16, SO400M, patch=14),
            text=text_config(1152, 27, 16, SO400M, vocab=C4, context=16),
        ),
        repo="hf:google/siglip-so400m-patch14-224",
        revision="d04cf29fca7b6374f74d8bea1969314492266b5e",
        params=(427_680_704, 449_679_600),
    ),
    *_rows(
        SIGLIP,
        "siglip-so400m-14-384",
        image="siglip-so400m-14-384-image",
        text="siglip-so400m-14-384-text",
        pair=Pair(  # 27 patches a side; the last 6 of 384 pixels are read by none
            image=image_config(1152, 27, 16, SO400M, patch=14, size=378),
            text=text_config(1152, 27, 16, SO400M, vocab=C4),
        ),
        repo="hf:google/siglip-so400m-patch14-384",
        revision="9fdffc58afc957d1a03a25b10dba0329ab15c2a3",
        params=(428_225_600, 449_734_896),
        size=384,
    ),
    *_rows(
        SIGLIP2,
        "siglip2-b16",
        image="siglip2-b16-image",
        text="siglip2-b16-text",
        pair=Pair(
            image=image_config(768, 12, 12, 3072), text=text_config(768, 12, 12, 3072, vocab=GEMMA)
        ),
        repo="hf:google/siglip2-base-patch16-224",
        revision="75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
        params=(92_884_224, 282_303_744),
        aliases=("siglip2",),
    ),
    *_rows(
        SIGLIP2,
        "siglip2-l16-256",
        image="siglip2-l16-256-image",
        text="siglip2-l16-256-text",
        pair=Pair(
            image=image_config(1024, 24, 16, 4096, size=256),
            text=text_config(1024, 24, 16, 4096, vocab=GEMMA),
        ),
        repo="hf:google/siglip2-large-patch16-256",
        revision="787800c8990e6f058423089178e718139608408c",
        params=(315_956_224, 565_570_560),
    ),
    *_rows(
        SIGLIP2,
        "siglip2-so400m-16-256",
        image="siglip2-so400m-16-256-image",
        text="siglip2-so400m-16-256-text",
        pair=Pair(
            image=image_config(1152, 27, 16, SO400M, size=256),
            text=text_config(1152, 27, 16, SO400M, vocab=GEMMA),
        ),
        repo="hf:google/siglip2-so400m-patch16-256",
        revision="e8708ab72d125807e45b36fb7d4e0aacbb59f379",
        params=(427_888_064, 707_782_896),
    ),
    *_rows(
        SIGLIP2,
        "siglip2-g16-256",
        image="siglip2-g16-256-image",
        text="siglip2-g16-256-text",
        pair=Pair(
            image=image_config(1536, 40, 16, 6144, size=256),
            text=text_config(1152, 27, 16, SO400M, vocab=GEMMA, projection=1536),
        ),
        repo="hf:google/siglip2-giant-opt-patch16-256",
        revision="46d7129e1aa1527cc5a44d86fb35250df3abf0aa",
        params=(1_163_168_256, 708_225_648),
    ),
)
