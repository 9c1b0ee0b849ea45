"""Which operators of a graph stay in float32, and why; the same graph and ranges, the same plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import onnx_ir as ir

from zoo.errors import OptionError
from zoo.manifest import Low, PrecisionPlan
from zoo_export.precision.formats import FORMATS, Format
from zoo_export.precision.operators import (
    MAKERS,
    PRODUCTS,
    SENSITIVE,
    constant,
    floats_in,
    floats_out,
    has_precision,
    is_mover,
    makes_floats,
    takes,
)
from zoo_export.precision.ranges import Spread

BY_HAND = "kept by hand"
SEARCHED = "kept by the search, for precision"
NO_TYPE = "there is no such operator in low precision"
REDUCES = "norm, softmax, pool, or a part of one"
LARGE = "comes near the largest number"
SMALL = "too small for full precision"
NEIGHBOURS = "between operators in float32, such as a residual sum before a norm"

# A constant may lose twice what rounding costs at most; more is lost where numbers are too small.
LOSS = 2.0

Kept = dict[str, str]  # operator to reason


def make_plan(
    model: ir.Model,
    spreads: Mapping[str, Spread],
    *,
    dtype: Low,
    scopes: Mapping[str, str],
    structure_sha256: str,
    keep: Sequence[str] = (),
    found: Collection[str] = (),
) -> PrecisionPlan:
    """Return the plan of a float32 graph.

    Args:
        model: The graph.
        spreads: Value to what it holds on real inputs.
        dtype: Of everything that does not stay in float32.
        scopes: Operator to the module that it came from.
        structure_sha256: Of the graph's file.
        keep: Patterns of modules to keep in float32, such as `blocks.*.mlp`.
        found: Modules that the search for sensitive ones added.

    Raises:
        OptionError: A pattern fits no module, or nothing is left for low precision.
    """
    nodes = [node for node in model.graph if has_precision(node)]
    kept: Kept = {}
    _keep_scopes(kept, nodes, scopes, keep, BY_HAND)
    _keep_scopes(kept, nodes, scopes, found, SEARCHED)
    losses = _Losses(FORMATS[dtype])
    for node in nodes:
        reason = _own_reason(node, spreads, losses)
        if reason:
            kept.setdefault(_name(node), reason)
    _spread_out(kept, nodes)
    _keep_movers(kept, nodes)
    if not any(node.op_type in PRODUCTS and _name(node) not in kept for node in nodes):
        raise OptionError(
            f"Nothing of {model.graph.name} would run in {dtype}: it multiplies no matrices, or "
            "all that do are kept in float32. Export it with --precision fp32."
        )
    reasons: dict[str, list[str]] = {}
    for node in nodes:
        if _name(node) in kept:
            reasons.setdefault(kept[_name(node)], []).append(_name(node))
    return PrecisionPlan(
        dtype=dtype,
        structure_sha256=structure_sha256,
        keep=tuple(keep),
        float32={reason: tuple(names) for reason, names in reasons.items()},
    )


def in_module(scope: str, pattern: str) -> bool:
    """Whether a module is one that a pattern names, or inside one."""
    return fnmatchcase(scope, pattern) or fnmatchcase(scope, f"{pattern}.*")


def _keep_scopes(
    kept: Kept,
    nodes: Sequence[ir.Node],
    scopes: Mapping[str, str],
    patterns: Iterable[str],
    reason: str,
) -> None:
    for pattern in patterns:
        inside = [node for node in nodes if in_module(scopes.get(_name(node), ""), pattern)]
        if not inside:
            modules = ", ".join(sorted({s.partition(".")[0] for s in scopes.values()} - {""}))
            raise OptionError(
                f"No operator comes from a module {pattern!r}. The modules are {modules} and "
                "their parts; a star stands for anything."
            )
        for node in inside:
            kept.setdefault(_name(node), reason)


class _Losses:
    """What rounding constants costs, each computed once."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self._reasons: dict[int, str] = {}

    def reason(self, value: ir.Value) -> str:
        """Return why a constant cannot be rounded, or nothing."""
        found = self._reasons.get(id(value))
        if found is None:
            found = self._reasons[id(value)] = self._reason(value)
        return found

    def _reason(self, value: ir.Value) -> str:
        tensor = constant(value)
        if tensor is None or not tensor.size:
            return ""
        loss = self.form.loss(tensor.numpy())
        if loss == float("inf"):
            return LARGE
        return SMALL if loss > LOSS * self.form.unit else ""


def _own_reason(node: ir.Node, spreads: Mapping[str, Spread], losses: _Losses) -> str:
    """Return why an operator must stay in float32 whatever is around it, or nothing."""
    form = losses.form
    if node.op_type in MAKERS or not takes(node, form.dtype):
        return NO_TYPE
    if node.op_type in SENSITIVE:
        return REDUCES
    values = [*floats_in(node), *floats_out(node)]
    for value in values:
        spread = spreads.get(value.name or "")
        if spread is not None and not spread.largest <= form.allowed:
            return LARGE
        # Beside its largest numbers, a value's small ones may vanish; a value that is small on the
        # whole may not.
        if spread is not None and 0 < spread.size < form.smallest / 2:
            return SMALL
    return next(filter(None, map(losses.reason, values)), "")


def _spread_out(kept: Kept, nodes: Sequence[ir.Node]) -> None:
    """Keep what lies between kept operators: rounding there would only cost casts and precision.

    An operator follows if all that read it are kept, or all that it reads. Products do not, nor
    does the bias of one: runtimes add it within the product.
    """
    bound = [node for node in nodes if node.op_type in PRODUCTS or _is_bias(node)]
    free = [node for node in nodes if not is_mover(node) and node not in bound]
    while True:
        before = len(kept)
        for node in (*reversed(free), *free):
            if _name(node) in kept:
                continue
            readers = [reader for value in floats_out(node) for reader in _readers(value)]
            sources = [source for value in floats_in(node) for source in _sources(value)]
            if _all_kept(readers, kept) or _all_kept(sources, kept):
                kept[_name(node)] = NEIGHBOURS
        if len(kept) == before:
            return


def _keep_movers(kept: Kept, nodes: Sequence[ir.Node]) -> None:
    """Let numbers travel in float32 only where they are made and read in it."""
    for node in nodes:
        if not is_mover(node) or _name(node) in kept:
            continue
        readers = [reader for value in floats_out(node) for reader in _readers(value)]
        sources = [source for value in floats_in(node) for source in _sources(value)]
        read = any(_is_kept(reader, kept) for reader in readers)
        if read and (makes_floats(node) or any(_is_kept(source, kept) for source in sources)):
            kept[_name(node)] = NEIGHBOURS


def _is_bias(node: ir.Node) -> bool:
    """Whether an operator adds a vector of constants to a product."""
    if node.op_type != "Add":
        return False
    for one, other in (node.inputs, reversed(node.inputs)):
        vector = constant(other)
        maker = None if one is None else one.producer()
        if vector is not None and len(vector.shape) == 1 and maker is not None:
            return maker.op_type in PRODUCTS
    return False


def _readers(value: ir.Value) -> list[ir.Node | None]:
    """Return what computes with a value, moved or not; None stands for the graph's caller."""
    found: list[ir.Node | None] = [None] if value.is_graph_output() else []
    for node, _ in value.uses():
        if not has_precision(node):
            continue
        if is_mover(node):
            found += [reader for output in floats_out(node) for reader in _readers(output)]
        else:
            found.append(node)
    return found


def _sources(value: ir.Value) -> list[ir.Node | None]:
    """Return what has computed a value, moved or not; None stands for what comes in float32."""
    node = value.producer()
    if node is None:
        return [] if value.is_initializer() else [None]
    if makes_floats(node):
        return [None]
    if is_mover(node):
        return [source for argument in floats_in(node) for source in _sources(argument)]
    return [node]


def _all_kept(others: Sequence[ir.Node | None], kept: Kept) -> bool:
    return bool(others) and all(_is_kept(other, kept) for other in others)


def _is_kept(other: ir.Node | None, kept: Kept) -> bool:
    """Whether an operator is kept; who calls the graph gives and takes float32."""
    return other is None or _name(other) in kept


def _name(node: ir.Node) -> str:
    assert node.name is not None, "the exporter has named all operators"
    return node.name
