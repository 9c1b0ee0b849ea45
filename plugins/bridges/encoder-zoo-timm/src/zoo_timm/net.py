"""A timm model behind the zoo's interface."""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.pool import unit
from zoo_timm.config import TimmConfig

INSIDE = "net."


class TimmNet(nn.Module):
    """Features before the classifier, tokens, and feature maps of several strides.

    Its state dict is loaded under timm's own names; the classifier's tensors are left out.
    """

    def __init__(self, config: TimmConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.pooled_only = False
        self.net: Any = timm.create_model(config.name, pretrained=False, num_classes=0)
        strides = [level["reduction"] for level in getattr(self.net, "feature_info", None) or []]
        self.has_levels = len(set(strides)) > 1 and hasattr(self.net, "forward_intermediates")
        self.register_load_state_dict_pre_hook(_rename)

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
        if not isinstance(features, Tensor):
            return None, None
        if features.ndim == 4:
            if getattr(self.net, "output_fmt", "NCHW") == "NHWC":
                return None, features.flatten(1, 2)
            return None, features.flatten(2).transpose(1, 2)
        if features.ndim != 3:
            return None, None
        count: int = getattr(self.net, "num_prefix_tokens", 0)
        return (features[:, :count] if count else None), features[:, count:]


def _rename(module: TimmNet, state: dict[str, Tensor], *_: object) -> None:
    """Put timm's names under `net.` and leave out its classifier."""
    classifiers = module.net.pretrained_cfg.get("classifier") or ()
    heads = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    own = {name.removeprefix(INSIDE) for name in module.state_dict()}
    for name in [name for name in state if not name.startswith(INSIDE)]:
        value = state.pop(name)
        if name in own or not name.startswith(tuple(f"{head}." for head in heads)):
            state[INSIDE + name] = value
