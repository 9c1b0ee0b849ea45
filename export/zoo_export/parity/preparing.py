"""Does a candidate that brings its own preprocessing make the same arrays of the same items?

A graph can be right and its bundle wrong: another mean, another crop, a lost prompt. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from zoo import samples as bundled
from zoo.errors import InputError, OptionError, ZooError
from zoo.preprocess import PLAIN, Ask, Batch, Preprocessor, preprocessor_for
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


def preparation_cause(spec: ModelSpec, ours: Preprocessor, theirs: Preprocessor) -> str:
    """Return in which fields of their recipes two preprocessors differ, or nothing.

    Shown by trying: ours with these fields of theirs makes the same arrays, and theirs without any
    one of them does not.
    """
    one: Any = getattr(ours, "recipe", None)
    other: Any = getattr(theirs, "recipe", None)
    if one is None or type(one) is not type(other):
        return ""

    def differs(recipe: Any) -> bool:  # noqa: ANN401  of any modality
        try:
            rebuilt = preprocessor_for(
                replace(spec, preprocess=recipe), getattr(ours, "file", None)
            )
        except (ValueError, ZooError):
            return True
        return bool(preparation_faults(spec, rebuilt, theirs))

    names = [f.name for f in fields(one) if getattr(one, f.name) != getattr(other, f.name)]
    needed = [name for name in names if differs(replace(other, **{name: getattr(one, name)}))]
    if not needed or differs(replace(one, **{name: getattr(other, name) for name in needed})):
        return ""
    changes = [_changes(name, getattr(one, name), getattr(other, name)) for name in needed]
    return "; ".join(change for found in changes for change in found)


def _changes(name: str, one: Any, other: Any) -> Iterator[str]:  # noqa: ANN401  fields of recipes
    """Yield what differs between two values, down to the innermost fields."""
    if is_dataclass(one) and type(one) is type(other):
        for inner in fields(one):
            yield from _changes(
                f"{name}.{inner.name}", getattr(one, inner.name), getattr(other, inner.name)
            )
    elif isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        for key in one:
            yield from _changes(f"{name}.{key}", one[key], other[key])
    elif one != other:
        yield f"{name} is {other!r}, not {one!r}"


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
