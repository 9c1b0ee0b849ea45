"""What a mutation is, and how a module is changed in one place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo.preprocess import Array, Preprocessor, preprocessor_for
from zoo.spec import ModelSpec
from zoo_export.parity import TorchCandidate

Net = Any  # a network of some family: its parts are found by name, as a careless port would


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A kind of bug.

    Attributes:
        kind: What is wrong, in words.
        rows: Names of the rows that it is tried on.
        apply: Row, a copy of its network, outputs -> a candidate with the bug.
        site: The module that is wrong, where it is one.
        causes: Causes that may be stated as certain, in words that the text must hold.
    """

    kind: str
    rows: tuple[str, ...]
    apply: Callable[[ModelSpec, Net, Sequence[str]], Any]
    site: str = ""
    causes: tuple[str, ...] = ()

    def candidate(self, row: ModelSpec, module: nn.Module, outputs: Sequence[str]) -> Any:
        """Return a candidate that has the bug; the module itself is left as it is."""
        return self.apply(row, copy.deepcopy(module), outputs)


def edit(
    change: Callable[[Net], object],
) -> Callable[[ModelSpec, Net, Sequence[str]], TorchCandidate]:
    """Return a mutation that changes a network in place."""

    def apply(row: ModelSpec, net: Net, outputs: Sequence[str]) -> TorchCandidate:
        with torch.no_grad():
            change(net)
        return TorchCandidate(row, net, outputs)

    return apply


def outputs_changed(
    change: Callable[[dict[str, Array], Mapping[str, Array]], dict[str, Array]],
) -> Callable[[ModelSpec, Net, Sequence[str]], Changed]:
    """Return a mutation that changes what leaves the network: (outputs, batch) -> outputs."""

    def apply(row: ModelSpec, net: Net, outputs: Sequence[str]) -> Changed:
        return Changed(TorchCandidate(row, net, outputs), change=change)

    return apply


def batch_changed(
    change: Callable[[dict[str, Array]], dict[str, Array]],
) -> Callable[[ModelSpec, Net, Sequence[str]], Changed]:
    """Return a mutation that changes what enters the network."""

    def apply(row: ModelSpec, net: Net, outputs: Sequence[str]) -> Changed:
        return Changed(TorchCandidate(row, net, outputs), before=change)

    return apply


def prepared(
    recipe: Callable[[Any], Any],
) -> Callable[[ModelSpec, Net, Sequence[str]], Changed]:
    """Return a mutation that is right but for how it prepares raw items."""

    def apply(row: ModelSpec, net: Net, outputs: Sequence[str]) -> Changed:
        from dataclasses import replace

        wrong = preprocessor_for(replace(row, preprocess=recipe(row.preprocess)))
        return Changed(TorchCandidate(row, net, outputs), preprocessor=wrong)

    return apply


class Changed:
    """A candidate around another."""

    def __init__(
        self,
        inner: TorchCandidate,
        *,
        before: Callable[[dict[str, Array]], dict[str, Array]] = dict,
        change: Callable[[dict[str, Array], Mapping[str, Array]], dict[str, Array]] = (
            lambda found, _batch: found
        ),
        preprocessor: Preprocessor | None = None,
    ) -> None:
        self.inner, self.before, self.change = inner, before, change
        self.preprocessor = preprocessor

    def run(self, batch: dict[str, Array]) -> dict[str, Array]:
        return self.change(self.inner.run(self.before(dict(batch))), batch)


def patch(module: nn.Module, forward: Callable[..., Any]) -> None:
    """Give one module another forward: (module, ...) -> result."""
    module.forward = MethodType(forward, module)


def override(part: Any, names: tuple[str, ...], function: Callable[..., Any]) -> None:
    """Give a part another function in place of the one that it has under one of some names."""
    (name,) = (name for name in names if hasattr(part, name))  # else the bug would be none
    setattr(part, name, function)


def lost(tensor: Tensor | None) -> None:
    """Zero a tensor."""
    assert tensor is not None, "the mutation is meant for networks that have it"
    assert bool(tensor.ne(0).any()), "live weights leave nothing at zero"
    tensor.zero_()


def noise(like: Array, seed: int = 0) -> Array:
    """Return seeded normal noise."""
    return np.random.default_rng(seed).standard_normal(like.shape).astype(like.dtype)
