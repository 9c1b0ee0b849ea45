"""Faults in what a module is given beside its first argument: rotations, biases, masks, places."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo.nn.attention import SelfAttention
from zoo.nn.rotary import Rope, line_rope
from zoo_export.parity.faults import changed
from zoo_export.parity.metrics import rms
from zoo_export.parity.taps import Call

BASES = (100.0, 1e3, 1e4, 1.6e5, 5e5, 1e6)  # of rotations, in networks of today
SAME = 1e-6  # rotations reach float64 from float32's constants

Found = tuple[str, Any]


class Given(NamedTuple):
    """One thing that may be wrong.

    Attributes:
        words: What it is.
        part: The module, as it is but for weights that do what rotations would.
        call: With the fault.
    """

    words: str
    part: nn.Module
    call: Call


def faults(part: nn.Module, call: Call) -> Iterator[Given]:
    """Yield the faults of what a module is given beside its first argument.

    Args:
        part: The right module, in float64; it is left as it is.
        call: What it was given.
    """
    signature = inspect.signature(part.forward)
    try:
        bound = signature.bind(*call.args, **call.kwargs)
    except TypeError:
        return
    for name, value in list(bound.arguments.items())[1:]:
        optional = signature.parameters[name].default is None
        for words, wrong in _alternatives(name, value, optional=optional):
            other = signature.bind(*call.args, **call.kwargs)
            other.arguments[name] = wrong
            yield Given(words, part, Call(other.args, other.kwargs))
        if any(_is_rope(rope) for rope in _members(value)):
            turned = _neighbours(part)
            if turned is not None:
                yield Given("neighbouring features are rotated, not halves", turned, call)


def _members(value: Any) -> tuple[Any, ...]:  # noqa: ANN401  whatever a module is given
    return (value, *value) if hasattr(value, "_fields") else (value,)


def _alternatives(name: str, value: Any, *, optional: bool) -> Iterator[Found]:  # noqa: ANN401
    """Yield what else could stand for an argument, or for a field of one."""
    if _is_rope(value):
        yield from _rotations(value)
    elif hasattr(value, "_fields"):
        for field, inner in zip(value._fields, value, strict=True):
            for words, wrong in _alternatives(field, inner, optional=False):
                yield words, value._replace(**{field: wrong})
    elif isinstance(value, Tensor):
        if optional:
            yield f"`{name}` is left out", None
        elif value.dtype == torch.bool:
            yield f"`{name}` is true everywhere", torch.ones_like(value)
            yield f"`{name}` is false everywhere", torch.zeros_like(value)
        elif value.is_floating_point():
            yield f"`{name}` is left out", torch.zeros_like(value)
        if value.ndim > 1 and value.shape[-1] == value.shape[-2]:
            yield f"query and key are swapped in `{name}`", value.transpose(-1, -2)
        if value.ndim == 4 and value.is_floating_point():
            if value.shape[1] > 1:
                yield f"the heads of `{name}` are off by one", value.roll(1, dims=1)
            if value.shape[0] > 1:
                yield f"the first of `{name}` stands for all", value[:1].expand_as(value)


def _is_rope(value: Any) -> bool:  # noqa: ANN401
    """Whether something is cosines and sines (N, d) of the same angles."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    if not all(isinstance(part, Tensor) and part.ndim == 2 for part in value):
        return False
    cos, sin = value
    return cos.shape == sin.shape and _same(cos.square() + sin.square(), torch.ones_like(cos))


def _rotations(rope: Rope) -> Iterator[Found]:
    cos, sin = rope
    tokens, width = cos.shape
    half = width // 2
    yield "the rotations turn the other way", (cos, -sin)
    yield "the rotations are left out", (torch.ones_like(cos), torch.zeros_like(sin))
    if not _same(cos[:, :half], cos[:, half:]):
        return
    yield (
        "the angles are those of neighbouring features, where halves are rotated",
        tuple(part[:, :half].repeat_interleave(2, dim=1) for part in rope),
    )
    own = _base(rope)
    for base in BASES:
        if own is not None and abs(base / own - 1) > SAME:
            words = f"the base of the rotations is {base:g}, not {own:g}"
            yield words, line_rope(tokens, width, base, cos)
    if own is None and half % 2 == 0:  # on a grid half of the angles are of rows, half of columns
        turned = [torch.cat([part.chunk(4, dim=1)[p] for p in (1, 0, 3, 2)], dim=1)
                  for part in rope]  # fmt: skip
        yield "the rotations of rows and columns are swapped", tuple(turned)
        for step in (1, -1):
            rolled = tuple(part.roll(step, dims=0) for part in rope)
            yield "the rotations are off by one token", rolled


def _base(rope: Rope) -> float | None:
    """Return the base of rotations of tokens in a line, or None if they are others."""
    cos, sin = rope
    tokens, width = cos.shape
    if tokens < 2 or width < 4:
        return None
    angle = float(torch.atan2(sin[1, 1], cos[1, 1]))  # of the second pair, one token further
    if not 0 < angle < 1:
        return None
    base = angle ** (-width / 2)
    rounded = min((*BASES, base), key=lambda known: abs(known / base - 1))
    base = rounded if abs(rounded / base - 1) < 1e-4 else base
    line = line_rope(tokens, width, base, cos)
    return base if all(map(_same, line, rope)) else None


def _neighbours(part: Any) -> nn.Module | None:  # noqa: ANN401  a module's parts
    """Return attention in which rotations take features 0 and 1, 2 and 3, ... for pairs.

    Queries and keys in another order, the same for both, have the same products.
    """
    names = ("qkv",) if isinstance(part, SelfAttention) else ("q", "k")
    if not hasattr(part, "heads") or not all(hasattr(part, name) for name in names):
        return None
    width: int = part.proj.in_features
    order = torch.arange(width).reshape(part.heads, -1, 2).transpose(1, 2).flatten()
    order = torch.cat((order, order + width, torch.arange(2 * width, 3 * width)))
    found: nn.Module = part
    for name in (*names, "q_bias"):
        linear = getattr(part, name, None)
        if isinstance(linear, nn.Linear):
            found = changed(found, f"{name}.weight", linear.weight[order[: len(linear.weight)]])
            if linear.bias is not None:
                found = changed(found, f"{name}.bias", linear.bias[order[: len(linear.bias)]])
        elif isinstance(linear, Tensor):
            found = changed(found, name, linear[order[:width]])
    return found


def _same(one: Tensor, other: Tensor) -> bool:
    return rms((one - other).numpy()) <= SAME * max(rms(other.numpy()), SAME)
