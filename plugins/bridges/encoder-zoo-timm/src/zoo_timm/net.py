"""A timm model behind the zoo's interface."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import timm
from timm.models import _builder
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.meta import on_meta
from zoo.nn.pool import unit
from zoo_timm.config import TimmConfig

INSIDE = "net."

State = dict[str, Tensor]
Filter = Callable[..., State]


class TimmNet(nn.Module):
    """Features before the classifier, tokens, and feature maps of several strides.

    A checkpoint is loaded under timm's own names, after what timm itself does to one of that
    network; the classifier's tensors are left out.
    """

    def __init__(self, config: TimmConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.pooled_only = False
        self.prefix = config.prefix
        self.name, self.arguments = config.name, {**config.arguments, "num_classes": 0}
        with _filters() as self.filters:
            self.net: Any = timm.create_model(self.name, pretrained=True, **self.arguments)
        strides = [level["reduction"] for level in getattr(self.net, "feature_info", None) or []]
        self.has_levels = len(set(strides)) > 1 and hasattr(self.net, "forward_intermediates")
        self.register_load_state_dict_pre_hook(_as_ours)  # type: ignore[no-untyped-call]

    @property
    def blocks(self) -> Any:  # noqa: ANN401  a list of modules, or none
        """What `Encoder.blocks` looks into: blocks, stages or layers, as timm calls them."""
        names = ("blocks", "stages", "layers")
        return next((getattr(self.net, name) for name in names if hasattr(self.net, name)), ())

    def forward(self, pixels: Tensor) -> Encoded:
        """(B, 3, H, W) -> pooled (B, D); tokens (B, N, W), prefix and pyramid where there are."""
        levels = None
        if self.has_levels and not self.pooled_only:
            features, maps = self.net.forward_intermediates(pixels, output_fmt="NCHW")
            levels = tuple(maps)
        else:
            features = self.net.forward_features(pixels)
        pooled = self.net.forward_head(features, pre_logits=True).flatten(1)  # (B, D)
        prefix, tokens = self._tokens(features)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled,
            tokens=tokens,
            prefix=prefix,
            pyramid=levels,
        )

    def _tokens(self, features: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        """Return the class token and its like, and the rest, as (B, N, W) each."""
        if not isinstance(features, Tensor):  # of two branches, or at several scales
            return None, None
        if features.ndim == 4:
            if getattr(self.net, "output_fmt", "NCHW") == "NHWC":
                return None, features.flatten(1, 2)
            return None, features.flatten(2).transpose(1, 2)
        if features.ndim != 3:
            return None, None
        prefix, tokens = features[:, : self.prefix], features[:, self.prefix :]
        return (prefix if self.prefix else None), (tokens if tokens.shape[1] else None)


@contextmanager
def _filters() -> Iterator[list[Filter]]:
    """Keep timm from loading weights, and collect the functions that it would give them to first.

    timm hands such a function to its loader alone. It renames what older checkpoints call
    otherwise and leaves out what is computed.
    """
    found: list[Filter] = []

    def keep(*_: object, filter_fn: Filter | None = None, **__: object) -> None:
        if filter_fn is not None:
            found.append(filter_fn)

    loader = _builder.load_pretrained
    _builder.load_pretrained = keep
    try:
        yield found
    finally:
        _builder.load_pretrained = loader


def _as_ours(module: TimmNet, state: dict[str, Tensor], *_: object) -> None:
    """Make a checkpoint of timm's one of ours, in place; one of ours stays."""
    if any(name.startswith(INSIDE) for name in state):
        return
    theirs = dict(state)
    state.clear()
    for function in module.filters:
        theirs = _filtered(function, theirs, module.net)
    extra = theirs.keys() - module.net.state_dict().keys()
    if extra:
        with on_meta():
            classifies = timm.create_model(module.name, **{**module.arguments, "num_classes": 2})
        extra &= classifies.state_dict().keys()
    state.update({INSIDE + name: value for name, value in theirs.items() if name not in extra})


def _filtered(function: Filter, state: State, net: nn.Module) -> State:
    """Call a filter as timm does: some of them take the checkpoint alone."""
    takes = len(inspect.signature(function).parameters)
    return function(state, net) if takes > 1 else function(state)
