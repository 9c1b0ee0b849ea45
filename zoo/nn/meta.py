"""Build a network without memory, and quickly: on the meta device, without its random init."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_RANDOM: frozenset[Callable[..., Any]] = frozenset(
    {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.bernoulli_}
)


class _NoRandomness(TorchFunctionMode):
    """Leaves tensors as they are where code wants to fill them at random.

    A meta tensor has nothing to fill, but the attempt goes through torch's compiler, whose import
    takes longer than reading a small model's weights.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  the signature is torch's
        kwargs = kwargs or {}
        if func in _RANDOM or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def on_meta() -> Iterator[None]:
    """Make tensors and modules on the meta device."""
    with torch.device("meta"), _NoRandomness():
        yield
