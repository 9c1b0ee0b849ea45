"""The smallest real encoder: counts letters, embeds them, averages. For tests of the machinery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError
from zoo.keys import KeyMap, move
from zoo.preprocess import PLAIN, Array, Ask, Batch, Sample
from zoo.spec import BATCH, NO_WEIGHTS, Dim, Family, ModelSpec, TensorSpec, WeightsSpec

if TYPE_CHECKING:
    from torch import nn

LENGTH = Dim(name="length", min=1, typical=8, max=64)
INPUTS = (
    TensorSpec(name="ids", dtype="int64", shape=(BATCH, LENGTH), padding="masked"),
    TensorSpec(name="mask", dtype="int64", shape=(BATCH, LENGTH), skippable=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyConfig:
    """Numbers of the toy."""

    width: int = 4
    depth: int = 2
    pooling: str = "mean"
    normalize: bool = False

    @property
    def dim(self) -> int:
        return self.width

    def build(self) -> nn.Module:
        from tests.toy_net import ToyNet

        return ToyNet(self)

    def tiny(self) -> ToyConfig:
        return replace(self, width=2)


FAMILY = Family(
    name="toy",
    title="Toys",
    year=2020,
    objective="none at all",
    license="apache-2.0",
    modality="text",
    keymaps=(
        KeyMap(
            name="toy",
            rules=(
                move("embedding.weight", "embedding.weight"),
                move("blocks.{i}.{wb}", "blocks.{i}.{wb}"),
            ),
        ),
    ),
)


def toy(
    name: str = "toy-a",
    *,
    config: ToyConfig | None = None,
    weights: WeightsSpec = NO_WEIGHTS,
    **facts: Any,
) -> ModelSpec:
    """Return a toy row."""
    return FAMILY.model(
        name,
        config=config or ToyConfig(),
        weights=weights,
        preprocess=None,
        inputs=INPUTS,
        params=264,
        **facts,
    )


class ToyPreprocessor:
    """Letters to their codes; anything but a str is a bad item."""

    window = 16

    def __init__(self) -> None:
        self.asked: list[Ask] = []

    def prepare(self, items: Sequence[Any], ask: Ask = PLAIN) -> list[Sample | InputError]:
        self.asked.append(ask)
        return [self._one(item, ask) for item in items]

    def _one(self, item: object, ask: Ask) -> Sample | InputError:
        if not isinstance(item, str):
            return InputError(f"a text is needed, not {type(item).__name__}.")
        codes = [ord(letter) % 64 for letter in (ask.prompt or "") + item] or [0]
        ids = np.array(codes, dtype=np.int64)
        return Sample({"ids": ids}, len(codes))

    def collate(self, samples: Sequence[Sample]) -> Batch:
        longest = max(sample.size for sample in samples)
        ids: Array = np.zeros((len(samples), longest), dtype=np.int64)
        mask: Array = np.zeros_like(ids)
        for row, sample in enumerate(samples):
            ids[row, : sample.size] = sample.arrays["ids"]
            mask[row, : sample.size] = 1
        return {"ids": ids, "mask": mask}
