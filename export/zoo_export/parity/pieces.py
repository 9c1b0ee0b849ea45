"""Where an engine leaves the oracle, found without looking into it.

A tensor that is marked as an output is no longer fused with what follows, so an engine that shows
its insides is another engine. Here the graph is cut at the boundaries of modules instead, and each
piece is built and run as an artefact of its own: from the start to a boundary, by bisection, until
the first boundary that comes out wrong is known; then what lies between the last right one and it,
alone. A fault that shows only together with what follows is looked for from the other end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from zoo.preprocess import Array, Batch
from zoo_export.parity.cases import Case, collate
from zoo_export.parity.cutting import cut, float32, leading_to, load_graph, rerun
from zoo_export.parity.metrics import clipped
from zoo_export.parity.onnx_candidate import OnnxCandidate, fitting
from zoo_export.parity.reference import Reference
from zoo_export.parity.report import Finding, ModuleRecord
from zoo_export.parity.taps import Boundary, error, limit

Piece = Callable[[Any, Mapping[str, Array]], Mapping[str, Array]]
"""Builds a model of a piece for its inputs' very shapes and runs it: outputs by name."""


@runtime_checkable
class Pieced(Protocol):
    """A candidate that shows nothing of its insides, but whose graph can be built in pieces.

    Attributes:
        graph: What it was built from.
    """

    graph: OnnxCandidate

    def run_piece(self, model: Any, feeds: Mapping[str, Array]) -> Mapping[str, Array]:  # noqa: ANN401
        """Build a piece as the candidate was built, and run it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A place where the graph falls into two.

    Attributes:
        boundary: The module that ends there.
        name: The one value that passes.
        oracle: In float64, as the graph shapes it.
        allowed: Largest relative error there.
        own: The yardstick's error.
    """

    boundary: Boundary
    name: str
    oracle: Array
    allowed: float
    own: float


def bisect(reference: Reference, graph: OnnxCandidate, case: Case, run: Piece) -> Finding | None:
    """Return the first module whose piece comes out wrong; None if the graph has no cut.

    Args:
        reference: Oracle and yardstick.
        graph: What the candidate was built from, with the scopes of its nodes.
        case: A batch that fails.
        run: Builds and runs a piece as the candidate was.
    """
    samples = [reference.lattice.samples[row] for row in case.rows]
    batch = collate(reference.spec, samples, case.sizes)
    cuts = find_cuts(reference, graph, batch)
    if not cuts:
        return None
    search = _Search(graph, cuts, {name: float32(batch[name]) for name in graph.inputs}, run)
    first = search.first(search.before)
    if first is not None:
        return search.finding(first, alone=search.alone(first))
    # every start is right, so it takes what follows to go wrong
    last = search.first(lambda place: not search.after(place))
    place = len(cuts) - 1 if last is None else last - 1
    if place < 0 or not search.after(place):
        return Finding(module="", text="every piece of the graph is right by itself",
                       modules=tuple(search.records()))  # fmt: skip
    following = cuts[place + 1].boundary.module if place + 1 < len(cuts) else ""
    where = f"from {cuts[place].boundary.module} on" + (
        f", before {following}" if following else ""
    )
    return Finding(
        module=following,
        text=f"only what is built {where} is wrong; every piece that ends there is right",
        modules=tuple(search.records()),
    )


def find_cuts(reference: Reference, graph: OnnxCandidate, batch: Batch) -> list[Cut]:
    """Return the boundaries of modules at which one value alone leads on, in order."""
    exact = reference.trace(batch, exact=True).values
    eager = reference.trace(batch, exact=False).values
    shapes = {b: value.shape for b, value in exact.items() if b.side == "out" and b in eager}
    crossing = graph.crossings(shapes)
    wanted = list(dict.fromkeys(name for names in crossing.values() for name in names))
    values = graph.values(wanted, batch)
    model = load_graph(graph.path)
    cuts: dict[str, Cut] = {}
    for boundary, names in crossing.items():
        name = fitting(names, values, shapes[boundary])
        if name and name not in cuts and _separates(model.graph, name):
            own = error(exact[boundary], eager[boundary])
            cuts[name] = Cut(
                boundary=boundary,
                name=name,
                oracle=exact[boundary].reshape(values[name].shape),
                allowed=limit(own, reference.precision),
                own=own,
            )
    order = {name: place for place, node in enumerate(model.graph.node) for name in node.output}
    return sorted(cuts.values(), key=lambda one: order.get(one.name, -1))


class _Search:
    """Builds each piece once."""

    def __init__(
        self, graph: OnnxCandidate, cuts: Sequence[Cut], feeds: Mapping[str, Array], run: Piece
    ) -> None:
        self.model = load_graph(graph.path)
        self.outputs = list(graph.outputs)
        self.cuts, self.feeds, self.run = cuts, feeds, run
        self.folder = graph.path.parent
        self.homes = graph.homes([one.boundary.module for one in cuts])
        self.seen: dict[int, float] = {}
        self.ends: dict[int, bool] = {}

    def first(self, wrong: Callable[[int], bool]) -> int | None:
        """Return the first cut that is wrong, if all after a wrong one are; None if none is."""
        low, high = 0, len(self.cuts)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if wrong(middle) else (middle + 1, high)
        return low if low < len(self.cuts) else None

    def before(self, place: int) -> bool:
        """Whether what is built from the start to a cut is wrong there."""
        one = self.cuts[place]
        found = self.run(cut(self.model, self.feeds, [one.name]), self.feeds)[one.name]
        self.seen[place] = error(one.oracle, found.astype(np.float64).reshape(one.oracle.shape))
        return self.seen[place] > one.allowed

    def alone(self, place: int) -> bool:
        """Whether what lies between two cuts is wrong on the oracle's input."""
        if place == 0:
            return True
        one, entry = self.cuts[place], self.cuts[place - 1]
        feeds = {**self.feeds, entry.name: float32(entry.oracle)}
        found = self.run(cut(self.model, feeds, [one.name]), feeds)[one.name]
        return error(one.oracle, found.astype(np.float64).reshape(one.oracle.shape)) > one.allowed

    def after(self, place: int) -> bool:
        """Whether what is built from a cut to the end is wrong on the oracle's input.

        The measure is the same piece on ONNX Runtime.
        """
        if place not in self.ends:
            entry = self.cuts[place]
            feeds = {**self.feeds, entry.name: float32(entry.oracle)}
            model = cut(self.model, feeds, self.outputs)
            right, found = rerun(model, self.folder, feeds), self.run(model, feeds)
            allowed = max(one.allowed for one in self.cuts[place:])
            self.ends[place] = any(
                error(value.astype(np.float64), found[name].astype(np.float64)) > allowed
                for name, value in right.items()
                if value.dtype.kind == "f"
            )
        return self.ends[place]

    def records(self) -> list[ModuleRecord]:
        """Return the boundaries that were looked at."""
        return [
            ModuleRecord(
                module=self.cuts[place].boundary.module,
                side="out",
                sqnr=clipped(self.seen[place]),
                yardstick=clipped(self.cuts[place].own),
            )
            for place in sorted(self.seen)
        ]

    def finding(self, place: int, *, alone: bool) -> Finding:
        """Say which module it is, and whether it is wrong by itself."""
        one = self.cuts[place]
        start = self.cuts[place - 1].boundary.module if place else "the inputs"
        drop = f"{clipped(one.own):.0f} dB -> {clipped(self.seen[place]):.0f} dB"
        words = "wrong by itself too" if alone else "right by itself, wrong behind what precedes it"
        module = self._module(place)
        return Finding(
            module=module,
            text=(
                f"{module or 'the network itself'}, what is built from {start} to "
                f"{one.boundary.module}: {drop}; {words}"
            ),
            modules=tuple(self.records()),
        )

    def _module(self, place: int) -> str:
        """Return the module that holds all of what lies between two cuts."""
        given = {self.cuts[place - 1].name} if place else set()
        nodes = leading_to(self.model.graph, [self.cuts[place].name], given=given)
        homes = [self.homes[node.name].split(".") for node in nodes if self.homes.get(node.name)]
        common = [words[0] for words in zip(*homes, strict=False) if len({*words}) == 1]
        return ".".join(common)


def _separates(graph: Any, name: str) -> bool:  # noqa: ANN401
    """Whether what follows a value needs nothing else that was computed with weights before it."""
    matrices = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 1}
    before = leading_to(graph, [name], given=set())
    after = leading_to(graph, [value.name for value in graph.output], given={name})
    names = {name for node in before for name in node.output}
    shared = [node for node in after if names.intersection(node.output)]
    return not any(entry in matrices for node in shared for entry in node.input)
