"""Bugs of norms, activations, biases and precision, in every family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.mutations.kinds import Mutation, edit, lost, patch
from zoo.nn.activations import ACTIVATIONS, ActivationName

GELU = ("vit-b16", "all-minilm-l6-v2", "openclip-b16-text")
QUICK = ("clip-b16-image", "clip-b16-text")
RESNETS = ("resnet-50", "resnet-18")
FLAGGED = ("nomic-embed-text-v1.5", "modernbert-embed-base", "wav2vec2-base", "hubert-large")
ALL = ("vit-b16", "all-minilm-l6-v2", "clip-b16-text", "resnet-50")


def _activation(name: ActivationName) -> Any:
    def change(net: Any) -> None:
        net.blocks[1].mlp.activation = ACTIVATIONS[name]

    return edit(change)


def _parts(net: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [part for part in net.modules() if isinstance(part, kinds)]


def _last_norm(net: nn.Module) -> Any:
    return _parts(net.get_submodule("blocks.1"), nn.LayerNorm)[-1]


def _eps(value: float) -> Any:
    def change(net: Any) -> None:
        _last_norm(net).eps = value

    return edit(change)


def _post_norm(net: Any) -> None:
    def forward(self: Any, x: Tensor, *_mask: Any) -> Tensor:
        x = self.norm1(x + self.attention(x))
        out: Tensor = self.norm2(x + self.mlp(x))
        return out

    patch(net.blocks[1], forward)


def _pre_norm(net: Any) -> None:
    def forward(self: Any, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out

    patch(net.blocks[1], forward)


def _other_side(net: Any) -> None:
    net.blocks[1].pre_norm = not net.blocks[1].pre_norm


def _half_norm(net: nn.Module) -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        half = F.layer_norm(
            x.half(), self.normalized_shape, self.weight.half(), self.bias.half(), self.eps
        )
        return half.float()

    patch(_last_norm(net), forward)


def _norm_scale(net: nn.Module) -> None:
    _last_norm(net).weight.fill_(1.0)


def _rounded(bits: int) -> Callable[[Tensor], Tensor]:
    """Return rounding to fewer bits of the mantissa, halves away from zero."""
    shift = 23 - bits

    def cut(x: Tensor) -> Tensor:
        whole = x.detach().numpy().view(np.uint32)
        kept = (whole + np.uint32(1 << (shift - 1))) & np.uint32(0xFFFFFFFF << shift & 0xFFFFFFFF)
        return torch.from_numpy(kept.view(np.float32).copy())

    return cut


def _products(bits: int) -> Any:
    """Round what enters matrix products, as TF32 (10 bits) and bfloat16 (7) do."""
    cut = _rounded(bits)

    def change(net: nn.Module) -> None:
        for part in _parts(net, nn.Linear, nn.Conv2d):
            weight = part.get_parameter("weight")
            weight.copy_(cut(weight))
            part.register_forward_pre_hook(lambda _part, inputs: (cut(inputs[0]),))

    return edit(change)


def _stored(dtype: torch.dtype) -> Any:
    def change(net: nn.Module) -> None:
        for parameter in net.parameters():
            parameter.copy_(parameter.to(dtype).float())

    return edit(change)


def _eight_bits(net: nn.Module) -> None:
    for part in _parts(net, nn.Linear, nn.Conv2d):
        weight = part.get_parameter("weight")
        scale = weight.abs().max() / 127
        weight.copy_((weight / scale).round() * scale)


def _other_commit(net: nn.Module) -> None:
    """One more step of training: one matrix is a ten-thousandth of its size away."""
    weight = _parts(net.get_submodule("blocks.1"), nn.Linear, nn.Conv2d)[0].get_parameter("weight")
    weight += (
        1e-4 * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    )


def _one_weight(net: nn.Module) -> None:
    weight = _parts(net.get_submodule("blocks.1"), nn.Linear, nn.Conv2d)[0].get_parameter("weight")
    weight.view(-1)[5] *= 1.01


def _half_mlp(net: Any) -> None:
    for parameter in net.blocks[1].mlp.fc2.parameters():
        parameter.mul_(0.5)


def _dropout(net: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)

    def forward(self: Any, x: Tensor) -> Tensor:
        out: Tensor = type(self).forward(self, x)
        return out * (torch.rand(out.shape, generator=generator) > 0.1) / 0.9

    patch(net.get_submodule("blocks.1.mlp"), forward)


MUTATIONS = (
    Mutation(
        kind="tanh for exact gelu",
        rows=GELU,
        apply=_activation("gelu_tanh"),
        site="blocks.1.mlp",
        causes=("gelu_tanh",),
    ),
    Mutation(
        kind="quick gelu for exact gelu",
        rows=GELU,
        apply=_activation("quick_gelu"),
        site="blocks.1.mlp",
        causes=("quick_gelu",),
    ),
    Mutation(
        kind="exact gelu for quick gelu",
        rows=QUICK,
        apply=_activation("gelu"),
        site="blocks.1.mlp",
        causes=("gelu",),
    ),
    Mutation(
        kind="relu for gelu",
        rows=GELU,
        apply=_activation("relu"),
        site="blocks.1.mlp",
        causes=("relu",),
    ),
    Mutation(
        kind="norm eps 1e-5 for 1e-6",
        rows=("vit-b16", "dinov2-b14-reg"),
        apply=_eps(1e-5),
        site="blocks.1.norm2",
        causes=("eps",),
    ),
    Mutation(
        kind="norm eps 1e-5 for 1e-12",
        rows=("all-minilm-l6-v2", "bge-small-en-v1.5"),
        apply=_eps(1e-5),
        site="blocks.1.mlp_norm",
        causes=("eps",),
    ),
    Mutation(
        kind="post-norm for pre-norm",
        rows=("vit-b16", "clip-b16-text"),
        apply=edit(_post_norm),
        site="blocks.1",
    ),
    Mutation(
        kind="pre-norm for post-norm",
        rows=("all-minilm-l6-v2", "roberta-base"),
        apply=edit(_pre_norm),
        site="blocks.1",
    ),
    Mutation(
        kind="norms on the other side of a block's halves",
        rows=FLAGGED,
        apply=edit(_other_side),
        site="blocks.1",
        causes=("pre_norm is",),
    ),
    Mutation(
        kind="norm in half precision", causes=("float16",), rows=ALL[:3], apply=edit(_half_norm)
    ),
    Mutation(
        kind="norm without its scale",
        causes=("scale is lost",),
        rows=ALL[:3],
        apply=edit(_norm_scale),
    ),
    Mutation(
        kind="norm without its bias",
        rows=ALL[:3],
        apply=edit(lambda net: lost(_last_norm(net).bias)),
        causes=("bias",),
    ),
    Mutation(
        kind="an MLP's bias lost",
        rows=ALL[:3],
        apply=edit(lambda net: lost(net.blocks[1].mlp.fc2.bias)),
        site="blocks.1.mlp.fc2",
        causes=("bias",),
    ),
    Mutation(
        kind="halves of a gated MLP swapped",
        rows=("dinov2-g14", "dinov2-g14-reg", "flan-t5-base-encoder", "modernbert-embed-base"),
        apply=edit(lambda net: patch(net.blocks[1].mlp, _swapped_halves)),
        site="blocks.1.mlp",
        causes=("gate and value are swapped",),
    ),
    Mutation(
        kind="an MLP's bias of half the size",
        rows=ALL[:3],
        apply=edit(lambda net: net.blocks[1].mlp.fc2.bias.mul_(0.5)),
        site="blocks.1.mlp.fc2",
    ),
    Mutation(
        kind="an MLP of half the size",
        rows=ALL[:3],
        apply=edit(_half_mlp),
        site="blocks.1.mlp.fc2",
        causes=("all numbers are 0.5 times",),
    ),
    Mutation(
        kind="a norm of an epsilon of its own",
        rows=ALL[:3],
        apply=_eps(2.4e-4),
    ),
    Mutation(kind="TF32 passed off as float32", causes=("TF32",), rows=ALL, apply=_products(10)),
    Mutation(
        kind="bfloat16 products passed off as float32",
        causes=("bfloat16",),
        rows=ALL,
        apply=_products(7),
    ),
    Mutation(
        kind="weights stored in float16",
        causes=("float16",),
        rows=ALL,
        apply=_stored(torch.float16),
    ),
    Mutation(
        kind="weights stored in bfloat16",
        causes=("bfloat16",),
        rows=ALL,
        apply=_stored(torch.bfloat16),
    ),
    Mutation(kind="weights stored in 8 bits", rows=ALL, apply=edit(_eight_bits)),
    Mutation(kind="a matrix of another commit", rows=ALL, apply=edit(_other_commit)),
    Mutation(kind="one weight off by 1 %", rows=ALL, apply=edit(_one_weight)),
    Mutation(kind="dropout left on", rows=ALL[:3], apply=edit(_dropout), site="blocks.1.mlp"),
    Mutation(
        kind="batch norm in training mode",
        rows=RESNETS,
        apply=edit(lambda net: net.blocks[0].train()),
        causes=("training is True",),
    ),
    Mutation(
        kind="batch norm folded without its mean",
        rows=RESNETS,
        apply=edit(lambda net: lost(net.blocks[1][1].layers[0].norm.running_mean)),
        site="blocks.1.1.layers.0.norm",
        causes=("`running_mean` is lost",),
    ),
    Mutation(
        kind="batch norm folded with another variance",
        rows=RESNETS,
        apply=edit(lambda net: net.blocks[1][1].layers[0].norm.running_var.mul_(1.001)),
        site="blocks.1.1.layers.0.norm",
    ),
    Mutation(
        kind="batch norm eps 1e-3 for 1e-5",
        rows=RESNETS,
        apply=edit(lambda net: setattr(net.blocks[1][1].layers[0].norm, "eps", 1e-3)),
        site="blocks.1.1.layers.0.norm",
        causes=("eps",),
    ),
    Mutation(
        kind="batch norm without its bias",
        rows=RESNETS,
        apply=edit(lambda net: lost(net.blocks[1][1].layers[0].norm.bias)),
        site="blocks.1.1.layers.0.norm",
        causes=("bias",),
    ),
    Mutation(
        kind="a shortcut lost",
        rows=RESNETS,
        apply=edit(lambda net: patch(net.blocks[1][1], _no_shortcut)),
        site="blocks.1.1",
    ),
)


def _swapped_halves(self: Any, x: Tensor) -> Tensor:
    gate, value = self.fc1(x).chunk(2, dim=-1)
    out: Tensor = self.fc2(gate * self.activation(value))
    return out


def _no_shortcut(self: Any, x: Tensor) -> Tensor:
    last = len(self.layers) - 1
    for index, layer in enumerate(self.layers):
        x = layer(x)
        if index < last:
            x = F.relu(x)
    return F.relu(x)
