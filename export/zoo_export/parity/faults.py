"""Faults that a module can have, each in words and as a module that has it.

No family is known here. A fault is an edit of what any module may hold: an epsilon, a tensor of its
own, a flag, a field of its configuration, an activation, the parts of attention.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from zoo.nn import activations, positions
from zoo.nn.activations import ACTIVATIONS
from zoo.nn.attention import SelfAttention
from zoo.nn.mlp import GatedMlp
from zoo_export.parity.metrics import rms
from zoo_export.parity.taps import Call

EPSILONS = (0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3)
TABLE = 10_000_000  # numbers: positions and types, not the words of a large vocabulary
SAME = 1e-9  # relative: two ways to compute the same in float64


class Fault(NamedTuple):
    """One thing that may be wrong.

    Attributes:
        words: What it is.
        part: A module that has it.
    """

    words: str
    part: nn.Module


def faults(part: nn.Module, call: Call) -> Iterator[Fault]:
    """Yield the faults of what a module itself holds.

    Args:
        part: The right module, in float64; it is left as it is.
        call: What it was given.
    """
    yield from _epsilons(part)
    yield from _tensors(part)
    yield from _choices(part)
    yield from _activations(part)
    yield from _means(part, call)
    yield from _attention(part)
    yield from _scores(part, call)
    if isinstance(part, GatedMlp):
        yield Fault("gate and value are swapped", _arranged(part, "fc1", 2, (1, 0)))
    yield Fault("it does nothing", changed(part, "forward", lambda x, *_, **__: x))


def changed(part: nn.Module, name: str, value: object) -> nn.Module:
    """Return a module that differs in one attribute, by its dotted name, and shares all others."""
    first, _, rest = name.partition(".")
    if rest:
        value = changed(part.get_submodule(first), rest, value)
    twin = copy.copy(part)
    place = twin.__dict__
    for store in ("_parameters", "_buffers", "_modules"):
        twin.__dict__[store] = dict(part.__dict__[store])
        if first in twin.__dict__[store]:
            place = twin.__dict__[store]
    place[first] = value
    return twin


def _epsilons(part: nn.Module) -> Iterator[Fault]:
    own = getattr(part, "eps", None)
    if isinstance(own, float):
        for eps in EPSILONS:
            if eps != own:
                yield Fault(f"eps is {eps:g}, not {own:g}", changed(part, "eps", eps))


def _tensors(part: nn.Module) -> Iterator[Fault]:
    """Yield tensors that are lost or that stand one place off; of matrices, the bias alone."""
    own = {name: value for name, value in (*part.named_parameters(recurse=False),
                                           *part.named_buffers(recurse=False))
           if value.is_floating_point()}  # fmt: skip
    for name, child in part.named_children():
        if isinstance(child, nn.Embedding) and child.weight.numel() <= TABLE:
            own[f"{name}.weight"] = child.weight
    for name, value in own.items():
        if name == "bias":
            yield Fault("the bias is lost", changed(part, name, torch.zeros_like(value)))
        elif name == "weight" and value.ndim == 1:
            yield Fault("the scale is lost", changed(part, name, torch.ones_like(value)))
        elif not isinstance(part, nn.Linear | _ConvNd):
            yield Fault(f"`{name}` is lost", changed(part, name, torch.zeros_like(value)))
            if len(own) > 1:  # a factor alone that is one does nothing, which is said in words
                ones = torch.ones_like(value)
                yield Fault(f"`{name}` is one everywhere", changed(part, name, ones))
            for axis, lines in ((-2, "rows"), (-1, "columns")) if value.ndim > 1 else ():
                for step in (1, -1)[: value.shape[axis] - 1]:
                    rolled = changed(part, name, value.roll(step, dims=axis))
                    yield Fault(f"the {lines} of `{name}` are off by one", rolled)


def _choices(part: nn.Module) -> Iterator[Fault]:
    """Yield flags of a module, and choices of its configuration, that are others."""
    for name, value in vars(part).items():
        if type(value) is bool and not (name == "training" and any(part.children())):
            # in training a batch norm writes into its statistics, which must not be the oracle's
            own = copy.deepcopy(part) if name == "training" else part
            yield Fault(f"{name} is {not value}, not {value}", changed(own, name, not value))
    config: Any = getattr(part, "config", None)
    if not is_dataclass(config) or isinstance(config, type):
        return
    try:
        hints = get_type_hints(type(config), localns={**vars(activations), **vars(positions)})
    except NameError:  # a type that only checkers import
        hints = {}
    for name, value in ((field.name, getattr(config, field.name)) for field in fields(config)):
        for other in _others(value, hints.get(name)):
            try:
                wrong = replace(config, **{name: other})
            except ValueError:
                continue  # it contradicts another field
            yield Fault(f"{name} is {other!r}, not {value!r}", changed(part, "config", wrong))


def _others(value: object, hint: object) -> Iterator[object]:
    if type(value) is bool:
        yield not value
    elif type(value) is float and value:
        yield 0.0
    elif get_origin(hint) is Literal:
        yield from (other for other in get_args(hint) if other != value)


def _activations(part: nn.Module) -> Iterator[Fault]:
    own = getattr(part, "activation", None)
    names = {function: name for name, function in ACTIVATIONS.items()}
    if own in names:
        for name, function in ACTIVATIONS.items():
            if function is not own:
                words = f"the activation is {name}, not {names[own]}"
                yield Fault(words, changed(part, "activation", function))


def _means(part: nn.Module, call: Call) -> Iterator[Fault]:
    """Yield a norm over the last axis that takes the mean away, or does not, unlike the right one.

    That the module is such a norm is seen by computing it.
    """
    weight, eps = getattr(part, "weight", None), getattr(part, "eps", None)
    x = call.args[0] if call.args else None
    if not (isinstance(weight, Tensor) and weight.ndim == 1 and isinstance(eps, float)):
        return
    if not isinstance(x, Tensor) or x.ndim < 2:
        return
    right = part(*call.args, **call.kwargs)
    for axis in (-1, -2):  # along which there is one scale each
        if x.shape[axis] != len(weight):
            continue
        for centred in (True, False):
            if rms((_norm(part, x, axis, centred) - right).numpy()) <= SAME * rms(right.numpy()):
                words = "the mean is not taken away" if centred else "the mean is taken away"
                yield Fault(words, changed(part, "forward", _normed(part, axis, not centred)))


def _normed(part: nn.Module, axis: int, centred: bool) -> Callable[[Tensor], Tensor]:
    return lambda x: _norm(part, x, axis, centred)


def _norm(part: Any, x: Tensor, axis: int, centred: bool) -> Tensor:  # noqa: ANN401
    """Return x over its root mean square, or its deviation, along the last axis."""
    shape = (-1,) if axis == -1 else (-1, 1)
    if centred:
        x = x - x.mean(-1, keepdim=True)
    x = x * (x.square().mean(-1, keepdim=True) + part.eps).rsqrt() * part.weight.reshape(shape)
    bias = getattr(part, "bias", None)
    return x if bias is None else x + bias.reshape(shape)


def _attention(part: nn.Module) -> Iterator[Fault]:
    """Yield scales of attention, and queries, keys and values in one another's place."""
    if isinstance(part, SelfAttention):
        width, heads = part.proj.in_features, part.heads
        for words, scale in (
            ("the scale of attention is missing", 1.0),
            ("the scale of attention is that of the whole width", width**-0.5),
        ):
            yield Fault(words, _rescaled(part, scale * (width / heads) ** 0.5))
        if part.q_bias is None:  # else keys have no bias that could change places with another
            yield Fault("queries and keys are swapped", _arranged(part, "qkv", 3, (1, 0, 2)))
            yield Fault("keys and values are swapped", _arranged(part, "qkv", 3, (0, 2, 1)))
            order = torch.arange(3 * heads).reshape(heads, 3).T.flatten().tolist()
            words = "queries, keys and values are taken head by head"
            yield Fault(words, _arranged(part, "qkv", 3 * heads, order))
        return
    q, k, v = (getattr(part, name, None) for name in "qkv")
    if not all(isinstance(linear, nn.Linear) for linear in (q, k, v)):
        return
    yield Fault("queries and keys are swapped", changed(changed(part, "q", k), "k", q))
    yield Fault("keys and values are swapped", changed(changed(part, "k", v), "v", k))
    scale = getattr(part, "scale", None)
    if isinstance(scale, float) and isinstance(q, nn.Linear):
        head = q.out_features // getattr(part, "heads", 1)
        for other in {1.0, head**-0.5, (2 * head) ** -0.5, (3 * head) ** -0.5} - {scale}:
            words = f"the scale of attention is {other:.4g}, not {scale:.4g}"
            yield Fault(words, changed(part, "scale", other))


def _rescaled(part: SelfAttention, factor: float) -> nn.Module:
    """Return attention with larger queries, which is a larger scale."""
    width = part.proj.in_features
    factors = torch.ones(3 * width, dtype=part.qkv.weight.dtype)
    factors[:width] = factor
    found = changed(part, "qkv.weight", part.qkv.weight * factors[:, None])
    if part.qkv.bias is not None:
        found = changed(found, "qkv.bias", part.qkv.bias * factors)
    return found if part.q_bias is None else changed(found, "q_bias", part.q_bias * factor)


def _arranged(part: nn.Module, linear: str, count: int, order: Sequence[int]) -> nn.Module:
    """Return a module of which a linear layer gives its parts in another order."""
    for name in ("weight", "bias"):
        value = getattr(part.get_submodule(linear), name)
        if value is not None:
            parts = value.chunk(count)
            part = changed(part, f"{linear}.{name}", torch.cat([parts[place] for place in order]))
    return part


def _scores(part: nn.Module, call: Call) -> Iterator[Fault]:
    """Yield what is added to the scores of all queries and keys with both in the other's place.

    Such a thing is made by a module that is given sizes alone.
    """
    if call.tensors:
        return
    right = part(*call.args, **call.kwargs)
    if not isinstance(right, Tensor) or right.ndim != 4 or right.shape[2] != right.shape[3]:
        return
    other = right.transpose(2, 3)
    yield Fault("query and key are swapped", changed(part, "forward", lambda *_, **__: other))
    patches = right.clone()
    patches[:, :, 1:, 1:] = other[:, :, 1:, 1:]
    words = "query and key are swapped but for the first token"
    yield Fault(words, changed(part, "forward", lambda *_, **__: patches))
