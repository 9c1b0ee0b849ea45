"""Does a candidate that brings its own preprocessing make the same arrays of the same items?

A graph can be right and its bundle wrong: another mean, another crop, a lost prompt. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from zoo import samples as bundled
from zoo.errors import InputError, OptionError
from zoo.preprocess import PLAIN, Ask, Batch, Preprocessor
from zoo.spec import AudioPreprocess, ModelSpec, TextPreprocess
from zoo_export.parity.samples import UNKNOWN, clip_items, sound_items

# Normalised pixels of the same Pillow differ by nothing; another order of the same three operations
# differs by a last place.
PIXELS = 1e-5


def preparation_faults(spec: ModelSpec, ours: Preprocessor, theirs: Preprocessor) -> list[str]:
    """Return where two preprocessors differ over the bundled items, in words."""
    faults: list[str] = []
    items = _items(spec)
    for name, ask in _asks(spec):
        try:
            prepared = list(zip(ours.prepare(items, ask), theirs.prepare(items, ask), strict=True))
        except OptionError as error:
            faults.append(f"preprocessing{name}: {error}")
            continue
        for item, (one, other) in zip(items, prepared, strict=True):
            if isinstance(one, InputError) or isinstance(other, InputError):
                wrong = "" if isinstance(one, InputError) and isinstance(other, InputError) else (
                    "only one of both takes it"
                )  # fmt: skip
            else:
                wrong = _difference(ours.collate([one]), theirs.collate([other]))
            if wrong:
                faults.append(f"preprocessing{name} of {_short(item)}: {wrong}")
                break
    return faults


def _items(spec: ModelSpec) -> Sequence[Any]:
    if spec.modality == "image":
        return bundled.images()
    if spec.modality == "video":
        return clip_items()
    if isinstance(spec.preprocess, AudioPreprocess):
        return sound_items(spec.preprocess)[0]
    texts = bundled.texts()
    length = spec.preprocess.max_length if isinstance(spec.preprocess, TextPreprocess) else 0
    return [*texts, UNKNOWN, " ".join(texts * (1 + length // 8))]


def _asks(spec: ModelSpec) -> Iterator[tuple[str, Ask]]:
    """Yield every way in which the row can be asked."""
    yield "", PLAIN
    if isinstance(spec.preprocess, TextPreprocess):
        for role in spec.preprocess.roles:
            yield f" as {role}", Ask(role=role)
        for prompt in spec.preprocess.prompts:
            yield f" with prompt {prompt}", Ask(prompt_name=prompt)


def _difference(one: Batch, other: Batch) -> str:
    for name, array in one.items():
        if name not in other:
            return f"there is no {name}"
        if array.shape != other[name].shape:
            return f"{name} has shape {other[name].shape}, not {array.shape}"
        largest = np.abs(other[name].astype(np.float64) - array).max(initial=0.0)
        if largest > (PIXELS if array.dtype.kind == "f" else 0):
            return f"{name} differs by up to {largest:.3g}"
    return ""


def _short(item: object) -> str:
    text = str(getattr(item, "stem", item))
    return repr(text if len(text) <= 30 else f"{text[:27]}...")
