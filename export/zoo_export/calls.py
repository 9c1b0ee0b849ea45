"""Functions of torch that are computed in another form while a graph is traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from zoo_export.attention import attention
from zoo_export.norms import group_norm

FORMS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    F.scaled_dot_product_attention: attention,
    F.group_norm: group_norm,
}
"""Function of torch to the one that stands in for it, which takes the same arguments."""


class PlainCalls(TorchFunctionMode):
    """While it is entered, the functions of `FORMS` are computed as it says, whoever asks."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever the function returns
        """Call a function of torch's, or what stands in for it."""
        return FORMS.get(func, func)(*args, **(kwargs or {}))
