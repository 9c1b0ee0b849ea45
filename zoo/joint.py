"""Several towers in one space: compare across modalities, classify without training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from zoo import similarity
from zoo.encoder import Encoder
from zoo.errors import InputError, KeyMapError, OptionError
from zoo.preprocess import Array
from zoo.sources import RANDOM
from zoo.spec import Modality, ModelSpec, Space
from zoo.weights import Checkpoint, fetch_weights, local_weights, open_checkpoint

RANDOM_SCALE = 1 / 0.07  # of similarities, where CLIP's training starts


class Label(NamedTuple):
    """One class of a zero-shot classification and its probability."""

    name: str
    score: float


class JointEncoder:
    """A loaded space; each tower is an ordinary Encoder.

    Args:
        space: What joins the towers.
        towers: Modality to its encoder.
        scale: Factor on cosines before the activation.
        bias: Added after the scale.

    Attributes:
        space: What joins the towers.
        towers: Modality to its encoder.
        scale: Factor on cosines before the activation.
        bias: Added after the scale.
    """

    def __init__(
        self,
        space: Space,
        towers: Mapping[Modality, Encoder],
        *,
        scale: float,
        bias: float,
    ) -> None:
        self.space = space
        self.towers = dict(towers)
        self.scale = scale
        self.bias = bias

    def __repr__(self) -> str:
        return f"JointEncoder({self.space.name!r}, towers={sorted(self.towers)})"

    def __iter__(self) -> Iterator[Encoder]:
        return iter(self.towers.values())

    @property
    def image(self) -> Encoder:
        """The tower for images."""
        return self._tower("image")

    @property
    def text(self) -> Encoder:
        """The tower for texts."""
        return self._tower("text")

    @property
    def audio(self) -> Encoder:
        """The tower for sounds."""
        return self._tower("audio")

    def _tower(self, modality: Modality) -> Encoder:
        if modality not in self.towers:
            raise OptionError(
                f"{self.space.name} has no {modality} tower; it has {', '.join(self.towers)}."
            )
        return self.towers[modality]

    def encode(self, *_: object, **__: object) -> NoReturn:
        """Refuse: a space has several encoders.

        Raises:
            OptionError: Always; names the towers.
        """
        ways = ", ".join(f".{modality}.encode(...)" for modality in self.towers)
        raise OptionError(f"{self.space.name} has several encoders. Use {ways}.")

    def logits(self, one: Any, other: Any) -> Array:  # noqa: ANN401  arrays or tensors
        """Return scaled similarities (len(one), len(other)) of vectors from two towers."""
        result: Array = similarity.cosine(one, other) * self.scale + self.bias
        return result

    def classify(
        self,
        images: Any,  # noqa: ANN401  whatever the image tower encodes
        labels: Iterable[str],
        *,
        template: str | Sequence[str] | None = None,
        top_k: int | None = None,
    ) -> Any:  # noqa: ANN401  a list of Label for one image, a list of lists for several
        """Say which labels fit which images best, without training.

        Args:
            images: One image or several.
            labels: Names of the classes.
            template: Text around a name, `{}` in its place; several are averaged, as vectors. By
                default the space's own.
            top_k: How many labels to return an image; by default all.

        Returns:
            Labels with probabilities, best first; one list an image.

        Raises:
            InputError: There is no label, or a template without a place for it.
        """
        names = _texts(labels, "labels")
        if top_k is not None and (not hasattr(top_k, "__index__") or top_k < 1):
            raise InputError(f"top_k={top_k!r} asks for no label. Give 1 or more, or leave it out.")
        templates = self._templates(template)
        pictures = self.image.encode(images)
        logits = self.logits(pictures, self.class_vectors(names, templates))
        ranked = [
            [Label(names[i], float(row[i])) for i in np.argsort(-row, kind="stable")[:top_k]]
            for row in self._activate(logits)
        ]
        return ranked[0] if pictures.ndim == 1 else ranked

    def _templates(self, template: str | Sequence[str] | None) -> list[str]:
        if template is None:
            template = self.space.template
        templates = [template] if isinstance(template, str) else _texts(template, "template")
        for text in templates:
            if "{}" not in text:
                raise InputError(f"The template {text!r} has no {{}} for the label's name.")
        return templates

    def class_vectors(self, labels: Sequence[str], templates: Sequence[str]) -> Array:
        """Return one unit vector a label: the mean over templates of unit text vectors (C, D)."""
        texts = [template.replace("{}", label) for label in labels for template in templates]
        vectors = similarity.normalize(self.text.encode(texts))
        means = vectors.reshape(len(labels), len(templates), -1).mean(axis=1)  # (C, D)
        return similarity.normalize(means)

    def _activate(self, logits: Array) -> Array:
        logits = logits.astype(np.float64)
        scores: Array
        if self.space.activation == "sigmoid":
            scores = 1 / (1 + np.exp(-logits))
        else:
            exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores = exponents / exponents.sum(axis=1, keepdims=True)
        return scores


def space_constants(
    rows: Sequence[ModelSpec], weights: str | Path | None = None, *, progress: bool = True
) -> tuple[float, float]:
    """Return the factor and the bias on similarities of the joint space of some rows.

    Args:
        rows: Its towers.
        weights: As for `zoo.load`; random towers get CLIP's factor before training.
        progress: As for `zoo.load`.

    Raises:
        WeightsError: The checkpoint cannot be read or does not hold them.
    """
    spec, space = rows[0], rows[0].space
    if space is None:
        raise TypeError(f"{spec.name} is no tower of a joint space.")
    scale, bias = space.scale, space.bias
    if str(weights) == RANDOM:
        return (
            RANDOM_SCALE if isinstance(scale, str) else scale,
            0.0 if isinstance(bias, str) else bias,
        )
    if isinstance(scale, str) or isinstance(bias, str):
        if weights is not None:
            spec = replace(spec, weights=local_weights(spec.weights, Path(weights)))
        checkpoint = open_checkpoint(fetch_weights(spec.weights, progress=progress).weights)
        if isinstance(scale, str):
            scale = math.exp(_scalar(checkpoint, scale))
        if isinstance(bias, str):
            bias = _scalar(checkpoint, bias)
    return scale, bias


def _scalar(checkpoint: Checkpoint, key: str) -> float:
    names = [name for name in checkpoint.header if name == key or name.endswith(f".{key}")]
    if len(names) != 1 or math.prod(checkpoint.header[names[0]]) != 1:
        raise KeyMapError(f"The file holds no single number {key!r} for the joint space.")
    return float(checkpoint.tensor(names[0]).double())


def _texts(values: Iterable[str], what: str) -> list[str]:
    """Return what must be several strings."""
    texts = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{what} must be a list of at least one str.")
    return texts
