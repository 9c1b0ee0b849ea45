"""Plain data: key maps, from the names in a checkpoint to the names in a network. No torch.

A rule names checkpoint keys by template: `{i}` (any single letter) stands for a number, `{wb}` for
`weight` or `bias`. Templates of dropped keys may end in `*`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One correspondence; make it with `move`, `merge`, `split` or `drop`.

    Attributes:
        sources: Templates of checkpoint keys; several are concatenated along `axis`.
        targets: Templates of our keys; several take equal parts along `axis`; none drops the key.
        axis: Of a concatenation or split.
        flatten: Join all axes but the first (matrices with an axis for the heads).
        transpose: Swap the two axes (Conv1D or `x @ proj` layouts).
        shape: New shape, with one -1 allowed.
        lead: Axes of size one put in front.
        why: Reason of a drop.
        zeros: Refuse the tensor unless it is all zeros.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    axis: int = 0
    flatten: bool = False
    transpose: bool = False
    shape: Shape | None = None
    lead: int = 0
    why: str = ""
    zeros: bool = False


def move(
    source: str,
    target: str,
    *,
    flatten: bool = False,
    transpose: bool = False,
    shape: Shape | None = None,
    lead: int = 0,
) -> Rule:
    """Take one tensor over under another name."""
    return Rule(
        sources=(source,),
        targets=(target,),
        flatten=flatten,
        transpose=transpose,
        shape=shape,
        lead=lead,
    )


def merge(sources: Sequence[str], target: str, *, axis: int = 0) -> Rule:
    """Concatenate several tensors, such as query, key and value, into one."""
    return Rule(sources=tuple(sources), targets=(target,), axis=axis)


def split(source: str, targets: Sequence[str], *, axis: int = 0) -> Rule:
    """Cut one tensor into equal parts."""
    return Rule(sources=(source,), targets=tuple(targets), axis=axis)


def drop(source: str, why: str) -> Rule:
    """Leave a tensor out: a head, a buffer, another tower."""
    return Rule(sources=(source,), targets=(), why=why)


def drop_zeros(source: str, why: str) -> Rule:
    """Leave a tensor out that is all zeros, and refuse a file in which it is not."""
    return Rule(sources=(source,), targets=(), why=why, zeros=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMap:
    """All keys of one checkpoint layout.

    Attributes:
        name: The library whose layout it is, for messages.
        rules: In order; the first that matches a key has it.
        prefixes: Prefixes that some files of this layout carry on the encoder's keys (`bert.`).
            Detected from the header; keys without the prefix keep their names.
        renames: Endings written in an older way and today's spelling (`LayerNorm.gamma`).
        ties: Our keys that share another key's tensor: target to the one it equals.
    """

    name: str
    rules: tuple[Rule, ...]
    prefixes: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    ties: tuple[tuple[str, str], ...] = ()
