"""Raw items to numpy arrays, the same for every backend. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.spec import (
    AudioPreprocess,
    EncoderSpec,
    ImagePreprocess,
    KeypointPreprocess,
    TermPreprocess,
    VideoPreprocess,
    WordPreprocess,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from zoo.spec import TextPreprocess

Array = NDArray[Any]
Batch = dict[str, Array]


class Sample(NamedTuple):
    """One item, ready to be batched.

    Attributes:
        arrays: Input name to array, without the batch axis.
        size: What it costs: tokens of a text, pixels of an image, samples of a sound.
        group: Samples of different groups never share a batch.
    """

    arrays: dict[str, Array]
    size: int
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What the caller said about the items beside the items themselves.

    Attributes:
        role: `query` or `document`.
        prompt: Literal text put before each item.
        prompt_name: Name of a stored prompt.
    """

    role: str | None = None
    prompt: str | None = None
    prompt_name: str | None = None


PLAIN = Ask()


class Preprocessor(Protocol):
    """Turns the items of one modality into batches."""

    window: int
    """Items that are prepared at a time; a batch never spans two windows."""

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        """Prepare items; a bad one gives its error, without an index, in its place.

        Raises:
            OptionError: `ask` wants something that this modality or model does not have.
        """
        ...

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Join samples along a new first axis, padded as the row says."""
        ...


def preprocessor_for(spec: EncoderSpec, tokenizer: Path | None = None) -> Preprocessor:
    """Return the preprocessor that a row asks for.

    Args:
        spec: The row, or what a bundle says.
        tokenizer: The tokenizer file, for text; None takes the stand-in of random weights.
    """
    recipe, vocab = spec.preprocess, spec.vocab
    names = tuple(tensor.name for tensor in spec.inputs)
    if isinstance(recipe, ImagePreprocess):
        from zoo.preprocess.image import ImagePreprocessor

        return ImagePreprocessor(recipe, name=names[0])
    if isinstance(recipe, VideoPreprocess):
        from zoo.preprocess.video import VideoPreprocessor

        return VideoPreprocessor(recipe, name=names[0])
    if isinstance(recipe, AudioPreprocess):
        from zoo.preprocess.audio import AudioPreprocessor

        return AudioPreprocessor(recipe, spec.inputs)
    if isinstance(recipe, WordPreprocess):
        from zoo.preprocess.vocabulary import StandIn, read_vocabulary
        from zoo.preprocess.words import WordPreprocessor

        rows = vocab or 0
        words = StandIn(rows, recipe) if tokenizer is None else read_vocabulary(tokenizer)
        return WordPreprocessor(recipe, words, inputs=names, rows=rows, file=tokenizer)
    if isinstance(recipe, TermPreprocess):
        from zoo.preprocess.terms import TermPreprocessor, read_terms

        terms = None if tokenizer is None else read_terms(tokenizer)
        return TermPreprocessor(
            recipe, terms, name=spec.name, inputs=names, columns=vocab or 0, file=tokenizer
        )
    if isinstance(recipe, KeypointPreprocess):
        from zoo.preprocess.keypoints import KeypointPreprocessor

        return KeypointPreprocessor(recipe, inputs=names)
    if recipe is None:
        raise TypeError(f"{spec.name} has no preprocessing.")
    from zoo.preprocess.text import TextPreprocessor

    if tokenizer is None and vocab is None:
        raise TypeError(f"{spec.name} needs a tokenizer file.")
    return TextPreprocessor(
        recipe, tokenizer or _standin(recipe, vocab or 0), inputs=names, vocab=vocab
    )


def _standin(recipe: TextPreprocess, vocab: int) -> Tokenizer:
    """Return a tokenizer for random weights that has all tokens that a recipe names."""
    from zoo.preprocess.standin import standin_tokenizer

    named = {token: None for role in recipe.roles.values() for token in (role.marker, role.fill)}
    return standin_tokenizer(
        vocab, pad_id=recipe.pad_id, ending=recipe.ending, others=[*filter(None, named)]
    )


def stack(samples: Sequence[Sample]) -> Batch:
    """Join samples of equal shapes along a new first axis."""
    return {name: np.stack([sample.arrays[name] for sample in samples])
            for name in samples[0].arrays}  # fmt: skip
