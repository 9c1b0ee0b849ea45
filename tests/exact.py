"""Let a reference compute in float64 what it rounds to float32 whatever its own dtype is."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch


class _Wide(types.ModuleType):
    """The module torch, but float32 means float64."""

    float32 = float = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextmanager
def exact(*modules: str) -> Iterator[None]:
    """Run with `torch.float32` and `Tensor.float()` wide in some modules of a library.

    Norms and rotary angles of transformers are computed in float32 even in a float64 model, which
    would hide differences of ours below 1e-7.
    """
    with patch.object(torch.Tensor, "float", torch.Tensor.double):
        patches = [patch.object(sys.modules[name], "torch", _Wide("torch")) for name in modules]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()
