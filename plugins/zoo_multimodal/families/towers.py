"""How CLIP's rows are made: two towers from one file, joined by a space."""

from __future__ import annotations

from dataclasses import dataclass, replace

from zoo.keys import KeyMap
from zoo.spec import (
    BATCH,
    Family,
    ImagePreprocess,
    Modality,
    ModelSpec,
    Paper,
    Space,
    TensorSpec,
    TextPreprocess,
    WeightsSpec,
)
from zoo_multimodal.clip_text_config import ClipTextConfig
from zoo_vision.families.vit_layouts import pixels
from zoo_vision.processing import CLIP_MEAN, CLIP_STD
from zoo_vision.vit_config import ViTConfig

# The same 49,408 tokens for every model here; not every repository has a tokenizer.json.
TOKENIZER = WeightsSpec(
    source="hf:openai/clip-vit-base-patch32",
    files=("tokenizer.json",),
    revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two configs of a model.

    Attributes:
        image: The vision transformer.
        text: The text transformer.
    """

    image: ViTConfig
    text: ClipTextConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """One paper's two families.

    Attributes:
        image: Of the image towers.
        text: Of the text towers.
    """

    image: Family
    text: Family


def families(
    image: Family, *, text_keymaps: tuple[KeyMap, ...], languages: tuple[str, ...]
) -> Families:
    """Return the family of a paper's image towers with that of its text towers."""
    text = replace(image, modality="text", keymaps=text_keymaps, languages=languages)
    return Families(image=image, text=text)


def image_preprocess(
    size: int,
    mean: tuple[float, ...] = CLIP_MEAN,
    std: tuple[float, ...] = CLIP_STD,
) -> ImagePreprocess:
    """Return open_clip's transform: the shorter side to `size`, then the centre."""
    return ImagePreprocess(size=(size, size), resize=size, mean=mean, std=std)


def text_preprocess(context: int, tokenizer_home: WeightsSpec | None = TOKENIZER) -> TextPreprocess:
    """Return CLIP's cleaning and tokenizer, padded to the context with zeros."""
    return TextPreprocess(
        max_length=context, pad_to_max=True, clean="clip", tokenizer_home=tokenizer_home
    )


def text_inputs(config: ClipTextConfig) -> tuple[TensorSpec, ...]:
    """Return the input of a text tower: what follows the end of text needs no mask."""
    return (
        TensorSpec(name="input_ids", dtype="int64", shape=(BATCH, config.context), padding="fixed"),
    )


def towers(
    families: Families,
    name: str,
    *,
    image: str,
    text: str,
    pair: Pair,
    weights: WeightsSpec,
    params: tuple[int, int],
    preprocess: ImagePreprocess | None = None,
    tokenizer_home: WeightsSpec | None = TOKENIZER,
    objective: str | None = None,
    papers: tuple[Paper, ...] = (),
    aliases: tuple[str, ...] = (),
    note: str = "",
    source: str = "",
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
        preprocess: Of images; by default open_clip's with OpenAI's mean and deviation.
        tokenizer_home: Where the tokenizer lies; None is beside the weights.
        objective: Of both, if not the family's.
        papers: Of both, beside the family's.
        aliases: Of the space.
        note: What a user should know.
        source: URL of the numbers.
    """
    names: dict[Modality, str] = {"image": image, "text": text}
    space = Space(
        name=name,
        towers=names,
        scale="logit_scale",
        aliases=aliases,
    )
    return (
        families.image.model(
            image,
            config=pair.image,
            weights=weights,
            preprocess=preprocess or image_preprocess(pair.image.image_size[0]),
            inputs=pixels(pair.image.patch, typical=pair.image.image_size[0]),
            params=params[0],
            objective=objective,
            papers=papers,
            space=space,
            note=note,
            source=source,
        ),
        families.text.model(
            text,
            config=pair.text,
            weights=weights,
            preprocess=text_preprocess(pair.text.context, tokenizer_home),
            inputs=text_inputs(pair.text),
            params=params[1],
            objective=objective,
            papers=papers,
            space=space,
            note=note,
            source=source,
        ),
    )
